// Brings the models that are served to what the repository and operators want.
#ifndef DIFFUSIOND_SERVER_VERSIONS_REPOSITORY_FOLLOWER_H_
#define DIFFUSIOND_SERVER_VERSIONS_REPOSITORY_FOLLOWER_H_

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/engine/engine.h"
#include "server/models/model_admin.h"
#include "server/models/model_catalog.h"
#include "server/versions/loaded_versions.h"
#include "server/versions/model_repository.h"
#include "server/versions/model_state.h"
#include "server/versions/version_loader.h"
#include "server/versions/version_log.h"
#include "server/versions/version_policy.h"
#include "server/worker/worker_supervisor.h"

namespace diffusiond {

// Carries out what ChooseVersion says: a swap is one assignment in the catalog, and a request goes
// on with the version that it found there. List may be called from any thread; all else from one at
// a time.
class RepositoryFollower {
 public:
  struct Options {
    std::filesystem::path repository;
    int micro_batch = 0;  // 0: by profile when a name is loaded first; its later versions inherit.
    int keep_versions = 1;
    std::function<absl::Time()> now;
    std::function<void()> on_catalog_changed;
    // The last user of a version is gone. From any thread, also after this object's end.
    std::function<void(std::shared_ptr<const ModelVersion>)> on_unused;
  };
  // Not owned; they outlive this. `supervisor` has its executors from `loaded`.
  struct Parts {
    LoadedVersions* loaded = nullptr;
    WorkerSupervisor* supervisor = nullptr;
    Engine* engine = nullptr;
    ModelCatalog* catalog = nullptr;
    VersionLog* log = nullptr;
  };

  RepositoryFollower(Options options, VersionLoader loader, Parts parts)
      : options_(std::move(options)), loader_(std::move(loader)), parts_(parts) {}

  // Serves of each model the pinned version, else the newest that is good, and refuses singly what
  // is wrong. Not OK: the first reason why something in the repository is not served, or that there
  // is nothing (NOT_FOUND); what is good is served all the same.
  absl::Status Look();

  // As ModelAdmin.
  absl::StatusOr<std::vector<ModelVersionsInfo>> List(const std::string& name) const
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<ModelVersionsInfo> LoadVersion(const std::string& name, int number);
  absl::StatusOr<ModelVersionsInfo> RollBack(const std::string& name, int number);

  // What on_unused gave.
  void Unload(std::shared_ptr<const ModelVersion> version);

  // Since the last look some version waits until another is unloaded.
  bool waits_for_room() const { return waits_for_room_; }

 private:
  // Repository.
  void FollowRefused(const RefusedDirectory& directory);
  void NotePassedOver(const ModelDirectory& directory);
  // Of names that are not in the repository any more.
  void NoteGone(const std::set<std::string>& there);
  void NoteRepository(const absl::Status& status);

  // Brings the model to the version that it should have. OK: it has it. Else why not; then it is
  // served as before.
  absl::Status Follow(const ModelDirectory& directory);
  ModelSituation SituationOf(const ModelDirectory& directory, std::map<int, std::string> stamps,
                             absl::Time now) const ABSL_LOCKS_EXCLUDED(mu_);
  void NoteProblem(const std::string& name, const std::optional<VersionProblem>& problem);
  // Whether this is new. Empty: there is none.
  bool IsNews(const std::string& name, const std::string& problem) ABSL_LOCKS_EXCLUDED(mu_);

  void Load(const ModelDirectory& directory, int number, const std::string& stamp);
  absl::Status LoadAndPlace(const ModelDirectory& directory, int number, const std::string& stamp);
  // For the catalog and requests to hold.
  LoadedVersion Lease(const std::shared_ptr<const ModelVersion>& version) const;
  void Refuse(const std::string& name, int number, const std::string& stamp,
              const absl::Status& reason);
  // A kServe and its kReleases. Nothing happens if the last user of the version has just gone.
  void Serve(const std::string& name, const std::vector<VersionAction>& actions);

  // Operators.
  absl::StatusOr<ModelDirectory> FindDirectory(const std::string& name) const;
  absl::Status Hold(const ModelDirectory& directory, int number);
  ModelVersionsInfo Describe(const ModelDirectory& directory) const ABSL_LOCKS_EXCLUDED(mu_);

  // Null: none.
  std::shared_ptr<const ModelVersion> Serving(const std::string& name) const
      ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  const VersionLoader loader_;
  const Parts parts_;
  bool waits_for_room_ = false;
  std::string repository_problem_;  // As ModelState::problem.

  mutable absl::Mutex mu_;
  std::map<std::string, ModelState> models_ ABSL_GUARDED_BY(mu_);
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_VERSIONS_REPOSITORY_FOLLOWER_H_
