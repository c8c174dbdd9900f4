#include "server/access/shown_credential.h"

#include <string>

#include "absl/strings/match.h"

namespace diffusiond {
namespace {

constexpr absl::string_view kBearer = "Bearer ";

}  // namespace

void AddAuthorization(absl::string_view value, Credential& credential) {
  // Which of several is meant nobody can know; an empty one is a client's unset variable.
  if (credential.token.has_value() || !absl::StartsWithIgnoreCase(value, kBearer) ||
      value.size() == kBearer.size()) {
    credential.malformed = true;
    return;
  }
  credential.token = std::string(value.substr(kBearer.size()));
}

}  // namespace diffusiond
