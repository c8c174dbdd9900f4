// Who may do what: the access file, as plain data.
#ifndef DIFFUSIOND_SERVER_ACCESS_ACCESS_LIST_H_
#define DIFFUSIOND_SERVER_ACCESS_ACCESS_LIST_H_

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

enum class Right {
  kGenerate,  // To have images drawn.
  kRead,      // To look at models.
  kAdmin,     // To swap and roll them back.
};

// What one identity may have at once or in a minute; absent: what everybody may.
struct IdentityLimits {
  std::optional<int> requests_in_flight = {};  // Of images, from their admission to the last image.
  std::optional<int> images_waiting = {};      // Asked for and not finished.
  std::optional<int> images_per_minute = {};
};

struct AccessIdentity {
  std::string name = {};    // In logs.
  std::string tenant = {};  // On whose behalf it asks; the name unless the file says otherwise.
  std::set<Right> rights = {};
  bool impersonate = false;  // May say in its calls' metadata on whose behalf it asks.
  double weight = 1;         // Of its tenant among an address's, as --tenant_weights.
  IdentityLimits limits = {};
  std::vector<std::string> token_sha256 = {};  // Of each token, 64 lower-case hexadecimal digits.
  std::vector<std::string> certificates =
      {};  // Names in certificates, as --tls_identity says which.
};

// A list that cannot be wrong inside: names, tokens and certificates are each one identity's.
// Immutable.
class AccessList {
 public:
  // Each call with a token looks at all of them.
  static constexpr size_t kMaxTokens = 1000;
  static constexpr size_t kMaxIdentities = 1000;
  static constexpr size_t kMaxNameBytes = 128;
  static constexpr double kMinWeight = 0.001;
  static constexpr double kMaxWeight = 1000;
  static constexpr int kMaxLimit = 1'000'000;

  // {"identities": [{"name", "tenant", "rights", "impersonate", "weight", "limits": {...},
  // "token_sha256": [...], "certificates": [...]}]}, fields as above. INVALID_ARGUMENT: names the
  // field by its path; fields that are not known are faults, for one that is misspelt would grant
  // or limit something else.
  static absl::StatusOr<AccessList> Parse(absl::string_view json);

  // INVALID_ARGUMENT: two identities share what must be one's, or something is out of range.
  static absl::StatusOr<AccessList> Make(std::vector<AccessIdentity> identities);

  // Null: nobody's.
  //
  // What is stored of a token is its plain SHA-256: a token is 256 random bits, which no dictionary
  // holds, so there is nothing for a slow or salted hash to protect. How long this takes tells
  // nothing of how near a wrong token came.
  std::shared_ptr<const AccessIdentity> FindByToken(absl::string_view token) const;
  std::shared_ptr<const AccessIdentity> FindByCertificate(const std::string& name) const;

  // Absent: the list says nothing of this tenant.
  std::optional<double> WeightOf(const std::string& tenant) const;

  size_t size() const { return identities_.size(); }

 private:
  using Identity = std::shared_ptr<const AccessIdentity>;

  absl::Status Add(const Identity& identity);

  std::map<std::string, Identity> identities_;              // By name.
  std::vector<std::pair<std::string, Identity>> by_token_;  // By SHA-256.
  std::map<std::string, Identity> by_certificate_;
  std::map<std::string, double> weights_;  // By tenant.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ACCESS_ACCESS_LIST_H_
