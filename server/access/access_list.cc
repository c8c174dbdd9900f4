#include "server/access/access_list.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "model/files/file_status.h"
#include "model/files/sha256.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr size_t kSha256Digits = 64;

absl::Status CheckName(absl::string_view what, absl::string_view name) {
  const bool printable = std::all_of(name.begin(), name.end(), absl::ascii_isprint);
  if (printable && !name.empty() && name.size() <= AccessList::kMaxNameBytes) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(what, " is ", Quoted(name), ", expected 1 .. ",
                                                 AccessList::kMaxNameBytes,
                                                 " printable ASCII characters"));
}

// Who writes the token itself into the file learns so before it is of use to anybody.
absl::Status CheckHash(absl::string_view hash) {
  const bool hexadecimal = std::all_of(hash.begin(), hash.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
  });
  if (hash == Sha256Hex("")) {
    return absl::InvalidArgumentError("token_sha256 has an entry that is the hash of no token");
  }
  if (hexadecimal && hash.size() == kSha256Digits) return absl::OkStatus();
  // It may be a token: it is not shown.
  return absl::InvalidArgumentError(
      absl::StrCat("token_sha256 has an entry of ", hash.size(), " characters, expected ",
                   kSha256Digits, " lower-case hexadecimal digits (diffusionctl token new)"));
}

absl::Status CheckLimit(absl::string_view name, std::optional<int> limit) {
  if (!limit.has_value() || (*limit >= 1 && *limit <= AccessList::kMaxLimit)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("limits.", name, " is ", *limit, ", expected 1 .. ", AccessList::kMaxLimit));
}

absl::Status Check(const AccessIdentity& identity) {
  RETURN_IF_ERROR(CheckName("name", identity.name));
  RETURN_IF_ERROR(CheckName("tenant", identity.tenant));
  RETURN_IF_ERROR(CheckLimit("requests_in_flight", identity.limits.requests_in_flight));
  RETURN_IF_ERROR(CheckLimit("images_waiting", identity.limits.images_waiting));
  RETURN_IF_ERROR(CheckLimit("images_per_minute", identity.limits.images_per_minute));
  if (!(identity.weight >= AccessList::kMinWeight && identity.weight <= AccessList::kMaxWeight)) {
    return absl::InvalidArgumentError(absl::StrCat("weight is ", identity.weight, ", expected ",
                                                   AccessList::kMinWeight, " .. ",
                                                   AccessList::kMaxWeight));
  }
  for (const std::string& hash : identity.token_sha256) RETURN_IF_ERROR(CheckHash(hash));
  for (const std::string& certificate : identity.certificates) {
    if (certificate.empty()) return absl::InvalidArgumentError("certificates has an empty name");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<AccessList> AccessList::Make(std::vector<AccessIdentity> identities) {
  if (identities.size() > kMaxIdentities) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", identities.size(), " identities, at most ", kMaxIdentities));
  }
  AccessList list;
  for (size_t i = 0; i < identities.size(); ++i) {
    absl::Status added = Check(identities[i]);
    if (added.ok()) {
      added = list.Add(std::make_shared<const AccessIdentity>(std::move(identities[i])));
    }
    if (!added.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("identities[", i, "].", added.message()));
    }
  }
  return list;
}

absl::Status AccessList::Add(const Identity& identity) {
  if (!identities_.emplace(identity->name, identity).second) {
    return absl::InvalidArgumentError(
        absl::StrCat("name is ", Quoted(identity->name), ", as another identity's"));
  }
  for (const std::string& hash : identity->token_sha256) {
    for (const auto& [known, owner] : by_token_) {
      if (known != hash) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("token_sha256 has an entry that ", Quoted(owner->name), " has, too"));
    }
    by_token_.emplace_back(hash, identity);
  }
  if (by_token_.size() > kMaxTokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("token_sha256 makes more than ", kMaxTokens, " tokens in all"));
  }
  for (const std::string& certificate : identity->certificates) {
    const auto [found, is_new] = by_certificate_.emplace(certificate, identity);
    if (is_new) continue;
    return absl::InvalidArgumentError(absl::StrCat("certificates has ", Quoted(certificate),
                                                   ", as ", Quoted(found->second->name), " has"));
  }
  const auto [weight, is_new] = weights_.emplace(identity->tenant, identity->weight);
  if (!is_new && weight->second != identity->weight) {
    return absl::InvalidArgumentError(
        absl::StrCat("weight is ", identity->weight, ", but another identity of tenant ",
                     Quoted(identity->tenant), " has ", weight->second));
  }
  return absl::OkStatus();
}

std::shared_ptr<const AccessIdentity> AccessList::FindByToken(absl::string_view token) const {
  const std::string hash = Sha256Hex(token);
  Identity found;
  for (const auto& [known, identity] : by_token_) {
    if (CRYPTO_memcmp(known.data(), hash.data(), kSha256Digits) == 0) found = identity;
  }
  return found;
}

std::shared_ptr<const AccessIdentity> AccessList::FindByCertificate(const std::string& name) const {
  const auto found = by_certificate_.find(name);
  return found == by_certificate_.end() ? nullptr : found->second;
}

std::optional<double> AccessList::WeightOf(const std::string& tenant) const {
  const auto found = weights_.find(tenant);
  if (found == weights_.end()) return std::nullopt;
  return found->second;
}

}  // namespace diffusiond
