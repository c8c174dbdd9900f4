// The thread that keeps the models' versions, and the way to it.
#ifndef DIFFUSIOND_SERVER_VERSIONS_VERSION_MANAGER_H_
#define DIFFUSIOND_SERVER_VERSIONS_VERSION_MANAGER_H_

#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/engine/engine.h"
#include "server/logging/log_record.h"
#include "server/metrics/server_metrics.h"
#include "server/models/model_admin.h"
#include "server/models/model_catalog.h"
#include "server/versions/loaded_versions.h"
#include "server/versions/repository_follower.h"
#include "server/versions/version_loader.h"
#include "server/versions/version_log.h"
#include "server/worker/worker_supervisor.h"

namespace diffusiond {

// Calls RepositoryFollower from one thread: at intervals, when the last user of a version is gone,
// and when somebody asks. Thread-safe between Start and Stop.
class VersionManager : public ModelAdmin {
 public:
  struct Options {
    std::filesystem::path repository;
    VersionLoader::Options loader;
    // 0: by profile when a name is loaded first; its later versions inherit it.
    int micro_batch = 0;
    absl::Duration poll_interval = absl::Seconds(10);  // Zero: only when told.
    int keep_versions = 1;  // Loaded of one name, the serving one included.
    std::function<absl::Time()> now = absl::Now;
    std::function<void()> on_catalog_changed;
    LogSink log;
  };
  // Not owned; they outlive this. `supervisor` has its executors from `loaded`.
  struct Parts {
    LoadedVersions* loaded = nullptr;
    WorkerSupervisor* supervisor = nullptr;
    Engine* engine = nullptr;
    ModelCatalog* catalog = nullptr;
    ServerMetrics* metrics = nullptr;
  };

  VersionManager(Options options, const Parts& parts);
  ~VersionManager() override;  // Stops.

  // The first look at the repository, as RepositoryFollower::Look. To be called once, before Start.
  absl::Status LoadAll();

  // Begins to follow the repository.
  void Start();

  // Waits for what is being loaded. What was not begun ends with UNAVAILABLE.
  void Stop();

  // Looks at the repository now, and returns when what came of it is done.
  void Poll();

  absl::StatusOr<std::vector<ModelVersionsInfo>> ListModelVersions(
      const std::string& name) override;
  absl::StatusOr<ModelVersionsInfo> LoadModelVersion(const std::string& name, int version) override;
  absl::StatusOr<ModelVersionsInfo> RollBackModel(const std::string& name, int version) override;

 private:
  // What other threads leave for this one's. Shared with what tells of the last user of a version,
  // which may outlive the manager.
  struct Inbox {
    absl::Mutex mu;
    std::vector<std::shared_ptr<const ModelVersion>> unused ABSL_GUARDED_BY(mu);
    std::deque<std::function<void(bool stopped)>> calls ABSL_GUARDED_BY(mu);
    bool running ABSL_GUARDED_BY(mu) = false;
  };

  void Run();
  // Has `call` done by the thread, or told that it has stopped.
  void Call(std::function<void(bool stopped)> call);

  const Options options_;
  VersionLog log_;
  const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  RepositoryFollower follower_;  // But for List: LoadAll's, then the thread's.
  std::thread thread_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_VERSIONS_VERSION_MANAGER_H_
