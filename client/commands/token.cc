// The command that makes tokens.
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/commands/connection.h"
#include "client/commands/json_results.h"
#include "model/files/sha256.h"

ABSL_FLAG(std::string, identity, "", "=NAME: whose token it is to be");

namespace diffusiond {
namespace {

// Whoever finds one in a log or a repository can tell what it opens.
constexpr char kPrefix[] = "diffusiond_";
constexpr size_t kMaxNameBytes = 128;

// 256 random bits: nobody guesses one, so its SHA-256 tells nothing of it.
absl::StatusOr<std::string> NewToken() {
  std::string bits(32, '\0');
  if (getrandom(bits.data(), bits.size(), 0) != static_cast<ssize_t>(bits.size())) {
    return absl::ErrnoToStatus(errno, "no random bits");
  }
  return absl::StrCat(kPrefix, absl::WebSafeBase64Escape(bits));
}

int UsageError(absl::string_view message, CommandContext& context) {
  *context.err << "diffusionctl: " << message << "\n  See: diffusionctl help token\n";
  return kExitUsage;
}

int Run(const std::vector<std::string>& arguments, CommandContext& context) {
  if (arguments[0] != "new") {
    return UsageError(absl::StrCat("token does not take '", arguments[0], "', but new"), context);
  }
  const std::string name = absl::GetFlag(FLAGS_identity);
  if (name.empty() || name.size() > kMaxNameBytes ||
      !std::all_of(name.begin(), name.end(), absl::ascii_isprint)) {
    return UsageError(
        absl::StrCat("--identity: expected 1 .. ", kMaxNameBytes, " printable ASCII characters"),
        context);
  }
  const absl::StatusOr<std::string> token = NewToken();
  if (!token.ok()) return ReportError(token.status(), context);
  const nlohmann::ordered_json identity = {
      {"name", name}, {"rights", {"generate", "read"}}, {"token_sha256", {Sha256Hex(*token)}}};
  if (absl::GetFlag(FLAGS_json)) {
    const nlohmann::ordered_json both = {{"token", *token}, {"identity", identity}};
    *context.out << both.dump(2) << "\n";
    return kExitOk;
  }
  *context.out << *token << "\n";
  *context.err << "For \"identities\" of the server's --access_file, which needs the token itself "
                  "nowhere:\n  "
               << identity.dump() << "\n";
  return kExitOk;
}

}  // namespace

Command TokenCommand() {
  return {.name = "token",
          .arguments = "new",
          .summary = "make a token, and the line of the access file that knows it",
          .details =
              "The token goes to standard output, the line to standard error:\n\n"
              "  (umask 077; diffusionctl token new --identity=web > web.token)\n\n"
              "Clients send it with --token_file=web.token. Rights are generate, read and admin: "
              "edit the line.\n\n"
              "With --json both: {\"token\": TOKEN, \"identity\": {...}}.\n",
          .flags = {"identity", "json"},
          .min_arguments = 1,
          .max_arguments = 1,
          .run = Run};
}

}  // namespace diffusiond
