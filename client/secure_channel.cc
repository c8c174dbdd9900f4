#include "client/secure_channel.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/input_file.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr size_t kMaxPemBytes = size_t{4} << 20;
// gRPC takes no headers of more than 8 KiB.
constexpr size_t kMaxTokenBytes = 4096;

// An empty path is an empty text.
absl::Status ReadPem(const std::string& path, grpc::string* text) {
  if (path.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(*text, ReadInputFile(path, kMaxPemBytes));
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadInputFile(path, kMaxTokenBytes));
  const std::string token(absl::StripAsciiWhitespace(text));
  if (!token.empty() && std::all_of(token.begin(), token.end(), absl::ascii_isgraph)) return token;
  return absl::InvalidArgumentError(absl::StrCat(path, " holds no token: one word is expected"));
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeTlsCredentials(
    const SecurityFiles& files) {
  if (files.certificate.empty() != files.key.empty()) {
    return absl::InvalidArgumentError(files.key.empty() ? "a certificate needs its key (--key)"
                                                        : "a key needs its certificate (--cert)");
  }
  grpc::SslCredentialsOptions options;
  RETURN_IF_ERROR(ReadPem(files.ca, &options.pem_root_certs));
  RETURN_IF_ERROR(ReadPem(files.certificate, &options.pem_cert_chain));
  RETURN_IF_ERROR(ReadPem(files.key, &options.pem_private_key));
  std::shared_ptr<grpc::ChannelCredentials> channel = grpc::SslCredentials(options);
  if (files.token.empty()) return channel;
  ASSIGN_OR_RETURN(const std::string token, ReadToken(files.token));
  return grpc::CompositeChannelCredentials(channel, grpc::AccessTokenCredentials(token));
}

}  // namespace diffusiond
