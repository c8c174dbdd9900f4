// A repository, and a server over fake devices that follows it, without gRPC.
#ifndef DIFFUSIOND_TESTS_SERVER_VERSIONS_VERSION_STAGE_H_
#define DIFFUSIOND_TESTS_SERVER_VERSIONS_VERSION_STAGE_H_

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "prometheus/registry.h"
#include "server/engine/engine.h"
#include "server/metrics/server_metrics.h"
#include "server/models/model_catalog.h"
#include "server/versions/loaded_versions.h"
#include "server/versions/version_manager.h"
#include "server/worker/worker_supervisor.h"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/testing/puppet_executor.h"
#include "tests/testing/recording_listener.h"

namespace diffusiond {

// Thread-compatible. The model is "mine"; devices move only when Release says so.
class VersionStage {
 public:
  VersionStage();
  ~VersionStage();

  const std::filesystem::path& repository() const { return repository_; }
  std::filesystem::path model() const { return repository_ / "mine"; }
  std::filesystem::path version(int number) const;

  // Publishes the next version of a model; it has a digest of its own.
  void Publish(const std::string& name = "mine");
  // Cuts the weights of a version short; mends them.
  void Break(int number);
  void Mend(int number);

  // Loads, and starts to serve whatever LoadAll says; returns that.
  absl::Status Start(int keep_versions = 1);
  VersionManager& manager() { return *manager_; }
  ModelCatalog& catalog() { return catalog_; }
  Engine& engine() { return *engine_; }
  LoadedVersions& loaded() { return loaded_; }
  prometheus::Registry& registry() { return *registry_; }

  // The version that new requests for "mine" get; -1: none.
  int serving();
  // "1 serving", "2 kept", ... in order.
  std::vector<std::string> States();

  // A request of three steps for "mine" (of this digest) that holds on to its version as real ones
  // do.
  struct Request {
    std::shared_ptr<RecordingListener> listener;
    int version = -1;
    std::string key;
  };
  Request Submit(const std::string& digest = "");

  // Lets all devices step freely; before that they wait.
  void Release();
  // The steps that were made by executors of each version; waits until one has begun.
  void AwaitStep(int version);
  // The next step of any device fails.
  void FailNextStep();
  // Loads end with this until it is OK again.
  void FailLoads(const absl::Status& status);
  // Of the manager's clock, which stands still.
  void Advance(absl::Duration duration);

  // The value of a metric with the label model=`model`; nothing: there is no such series.
  std::optional<double> Metric(const std::string& name, const std::string& model);

  int loads() const;
  int executors_alive(int version);
  void AwaitExecutorsAlive(int version, int count);

  // Log lines that contain `text`; the second waits until there are that many.
  int Logged(const std::string& text);
  void AwaitLogged(const std::string& text, int count = 1);

 private:
  class Executor;
  struct Watch {
    mutable absl::Mutex mu;
    std::map<int, int> alive ABSL_GUARDED_BY(mu);  // Executors, by version.
    std::map<int, int> steps ABSL_GUARDED_BY(mu);
    std::vector<std::string> log ABSL_GUARDED_BY(mu);
    bool free ABSL_GUARDED_BY(mu) = false;
    bool fail ABSL_GUARDED_BY(mu) = false;
    int loads ABSL_GUARDED_BY(mu) = 0;
    absl::Status load_status ABSL_GUARDED_BY(mu);
    absl::Time now ABSL_GUARDED_BY(mu) = absl::UnixEpoch();
  };

  static absl::StatusOr<LoadedModel> Load(const std::shared_ptr<Watch>& watch,
                                          const std::filesystem::path& path,
                                          absl::Span<const DeviceSpec> devices, int micro_batch);

  ScratchDirectory scratch_{MemoryTempDir()};
  const std::filesystem::path repository_ = scratch_ / "models";
  const std::shared_ptr<Watch> watch_ = std::make_shared<Watch>();
  const std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  ServerMetrics metrics_{registry_.get(), "1"};
  ModelCatalog catalog_;
  std::unique_ptr<Engine> engine_;
  LoadedVersions loaded_;
  std::unique_ptr<WorkerSupervisor> supervisor_;
  std::unique_ptr<VersionManager> manager_;
  float next_value_ = 1;
  std::map<int, std::string> whole_weights_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SERVER_VERSIONS_VERSION_STAGE_H_
