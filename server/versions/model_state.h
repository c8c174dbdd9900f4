// What is known of one model while the repository is followed.
#ifndef DIFFUSIOND_SERVER_VERSIONS_MODEL_STATE_H_
#define DIFFUSIOND_SERVER_VERSIONS_MODEL_STATE_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/models/served_model.h"
#include "server/versions/model_version.h"
#include "server/versions/version_policy.h"

namespace diffusiond {

struct LoadedVersion {
  std::shared_ptr<const ModelVersion> version;
  // What the catalog and requests hold. With the last of them the version is reported as unused.
  std::weak_ptr<const ServedModel> users;
  std::shared_ptr<const ServedModel> kept;  // The same; null: it waits for its last request.
};

struct ModelState {
  std::vector<LoadedVersion> loaded;            // The latest served last.
  std::shared_ptr<const ModelVersion> serving;  // One of them; null: none yet.
  std::map<int, int> loads;                     // How often each number was loaded.
  std::optional<int> held;
  int before = 0;  // The number that was served before the serving one; 0: none.
  std::map<int, VersionRefusal> refused;
  // What keeps the model from the version that it should have, beside versions that were refused.
  // Empty: nothing. Logged when it changes.
  std::string problem;
  std::string passed_over;  // Its directory's NoVersions, the same.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_VERSIONS_MODEL_STATE_H_
