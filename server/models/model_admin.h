// What operators ask of the models' versions; implemented by who loads them.
#ifndef DIFFUSIOND_SERVER_MODELS_MODEL_ADMIN_H_
#define DIFFUSIOND_SERVER_MODELS_MODEL_ADMIN_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace diffusiond {

struct VersionInfo {
  enum class State {
    kOnDisk,    // Not loaded.
    kServing,   // What new requests get.
    kKept,      // Loaded, for a quick rollback and for replays.
    kDraining,  // Loaded until its last request ends.
    kRefused,   // Could not be loaded; tried again when its files change, or when it is asked for.
  };
  int version = 0;  // 0: the model's versions are not numbered.
  State state = State::kOnDisk;
  std::string digest = {};     // Empty: not known before it is loaded.
  std::string published = {};  // RFC 3339, by its publisher; may be empty.
  std::string refusal = {};
};

struct ModelVersionsInfo {
  std::string name;
  std::vector<VersionInfo> versions = {};    // Ascending.
  std::optional<int> pinned = std::nullopt;  // By the repository.
  std::optional<int> held = std::nullopt;    // By LoadVersion or Rollback, of this server.
  // What is wrong with the model beside versions that were refused; empty: nothing.
  std::string problem = {};
};

// Thread-safe. Calls may take as long as loading a model takes.
class ModelAdmin {
 public:
  virtual ~ModelAdmin() = default;

  // By name, also directories that are refused as a whole; with a name that model alone. NOT_FOUND:
  // there is none, or none of that name.
  virtual absl::StatusOr<std::vector<ModelVersionsInfo>> ListModelVersions(
      const std::string& name) = 0;

  // Serves this version and holds to it. 0: holds to none any more and goes to the newest (or the
  // pinned) one now; what was refused is tried again.
  // Where the newest is refused, OK too if a newer one than before took its place.
  // NOT_FOUND: no such model or version. FAILED_PRECONDITION: the repository pins another; the
  // model has no numbered versions. RESOURCE_EXHAUSTED: too many old versions still have requests.
  // Else why it cannot be loaded; what was served before is served on.
  virtual absl::StatusOr<ModelVersionsInfo> LoadModelVersion(const std::string& name,
                                                             int version) = 0;

  // Goes back to this version and holds to it; 0: the one served before, else the next lower one.
  // FAILED_PRECONDITION: there is none before. Otherwise as LoadModelVersion.
  virtual absl::StatusOr<ModelVersionsInfo> RollBackModel(const std::string& name, int version) = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_MODELS_MODEL_ADMIN_H_
