#include "client/commands/security_flags.h"

#include <cstdlib>
#include <optional>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "client/secure_channel.h"
#include "model/status/status_macros.h"

ABSL_FLAG(
    std::optional<bool>, tls, std::nullopt,
    "reach the server by TLS; implied by the flags below, all of which have a variable of the "
    "environment: DIFFUSIOND_TLS=1, DIFFUSIOND_CA and so on");
ABSL_FLAG(std::string, ca, "",
          "=FILE: PEM file of who vouches for the server; else whom the system trusts");
ABSL_FLAG(std::string, cert, "", "=FILE: PEM file of the certificate to show, with --key");
ABSL_FLAG(std::string, key, "", "=FILE: PEM file of its private key");
ABSL_FLAG(std::string, token_file, "", "=FILE: of the token to send, never in plaintext");

namespace diffusiond {
namespace {

// The flag, or else the variable.
std::string Chosen(const std::string& flag, const char* variable) {
  if (!flag.empty()) return flag;
  const char* const value = std::getenv(variable);
  return value == nullptr ? "" : value;
}

absl::StatusOr<bool> TlsByEnvironment() {
  const std::string value = Chosen("", "DIFFUSIOND_TLS");
  if (value == "1" || value == "true") return true;
  if (value.empty() || value == "0" || value == "false") return false;
  return absl::InvalidArgumentError(
      absl::StrCat("DIFFUSIOND_TLS is '", value, "', expected 1, true, 0 or false"));
}

}  // namespace

std::vector<std::string> WithSecurityFlags(std::vector<std::string> flags) {
  flags.insert(flags.end(), {"tls", "ca", "cert", "key", "token_file"});
  return flags;
}

absl::StatusOr<ClientOptions> ClientOptionsByFlags() {
  const SecurityFiles files = {
      .ca = Chosen(absl::GetFlag(FLAGS_ca), "DIFFUSIOND_CA"),
      .certificate = Chosen(absl::GetFlag(FLAGS_cert), "DIFFUSIOND_CERT"),
      .key = Chosen(absl::GetFlag(FLAGS_key), "DIFFUSIOND_KEY"),
      .token = Chosen(absl::GetFlag(FLAGS_token_file), "DIFFUSIOND_TOKEN_FILE"),
  };
  const std::optional<bool> flag = absl::GetFlag(FLAGS_tls);
  ASSIGN_OR_RETURN(const bool variable, TlsByEnvironment());
  const bool implied =
      !files.ca.empty() || !files.certificate.empty() || !files.key.empty() || !files.token.empty();
  // A token would be everybody's who listens on the way.
  if (flag == false && implied) {
    return absl::InvalidArgumentError(
        "--ca, --cert, --key and --token_file are for TLS: not with "
        "--tls=false");
  }
  if (!flag.value_or(variable || implied)) return ClientOptions();
  ClientOptions options;
  ASSIGN_OR_RETURN(options.credentials, MakeTlsCredentials(files));
  return options;
}

}  // namespace diffusiond
