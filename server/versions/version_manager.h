// Which version of each model is served: follows the repository, loads beside what runs, swaps, and
// lets old versions go when their last request has ended.
//
//   serving ----------> kept (--keep_versions) ----------> draining ----------> unloaded
//      a newer one is swapped in      one more is swapped in      its last request ends
//
// A swap is one assignment in the catalog: a request goes on with the version that it found there.
#ifndef DIFFUSIOND_SERVER_VERSIONS_VERSION_MANAGER_H_
#define DIFFUSIOND_SERVER_VERSIONS_VERSION_MANAGER_H_

#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "model/config/unet_config.h"
#include "server/engine/engine.h"
#include "server/metrics/server_metrics.h"
#include "server/models/model_admin.h"
#include "server/models/model_catalog.h"
#include "server/versions/model_repository.h"
#include "server/worker/model_loader.h"
#include "server/worker/worker_supervisor.h"

namespace diffusiond {

// Old versions of one model that wait for their last requests, beside those that are kept. The next
// swap waits while there are more.
inline constexpr int kMaxDrainingVersions = 3;

// Between two tries of a version that was refused for what may pass; doubled from one to the next.
inline constexpr absl::Duration kFirstRetry = absl::Seconds(30);
inline constexpr absl::Duration kLongestRetry = absl::Minutes(10);

// Thread-safe between Start and Stop. One thread of its own loads, swaps and unloads.
class VersionManager : public ModelAdmin {
 public:
  struct Options {
    std::filesystem::path repository;
    std::vector<DeviceSpec> devices;
    int micro_batch =
        0;  // 0: by profile when a name is loaded first; its later versions inherit it.
    absl::Duration poll_interval = absl::Seconds(10);  // Zero: only when told.
    int keep_versions = 1;  // Loaded of one name, the serving one included.
    // LoadModel, or a test's.
    std::function<absl::StatusOr<LoadedModel>(const std::filesystem::path&,
                                              absl::Span<const DeviceSpec>, int micro_batch)>
        load;
    std::function<absl::Time()> now = absl::Now;
    std::function<void()> on_catalog_changed;
    std::function<void(const std::string&)> log_line;
  };

  // Not owned; they outlive this.
  VersionManager(Options options, ModelCatalog* catalog, ServerMetrics* metrics);
  ~VersionManager() override;  // Stops.

  // The first look at the repository, like every later one: serves of each model the pinned
  // version, else the newest that is good, and refuses singly what is wrong. Not OK: the first
  // reason why something in it is not served, or that there is nothing (NOT_FOUND); what is good is
  // loaded all the same, perhaps nothing. To be called once, before Start.
  absl::Status LoadAll();

  // By device, what LoadAll made, perhaps nothing: for WorkerSupervisor::Start.
  std::vector<StepExecutors> TakeExecutors();

  // What a device runs, made again: for WorkerSupervisor::Device::rebuild.
  absl::StatusOr<StepExecutors> Rebuild(const DeviceSpec& device) const ABSL_LOCKS_EXCLUDED(mu_);

  // Begins to follow the repository. Both outlive Stop.
  void Start(Engine* engine, WorkerSupervisor* supervisor);

  // Waits for what is being loaded. What was not begun ends with UNAVAILABLE.
  void Stop();

  // Looks at the repository now, and returns when what came of it is done.
  void Poll();

  absl::StatusOr<std::vector<ModelVersionsInfo>> ListModelVersions(const std::string& name) override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<ModelVersionsInfo> LoadModelVersion(const std::string& name, int version) override;
  absl::StatusOr<ModelVersionsInfo> RollBackModel(const std::string& name, int version) override;

 private:
  struct Version {
    int version = 0;
    std::string key;
    std::string digest;
    std::string stamp;  // CheckpointStamp when it was loaded.
    int micro_batch = 1;
    UNetConfig network;
    decltype(LoadedModel::rebuild) rebuild;
    std::weak_ptr<const ServedModel> users;     // Catalog and requests.
    std::shared_ptr<const ServedModel> served;  // Serving or kept; null: draining.
  };
  struct Refusal {
    std::string stamp;
    absl::Status reason;
    // Of what may pass without a change of files, a device out of memory or a permission: when it
    // is tried again, and how long that was put off. Infinite: not before its files change.
    absl::Time retry = absl::InfiniteFuture();
    absl::Duration put_off = absl::ZeroDuration();
  };
  // One name.
  struct Roll {
    std::vector<std::shared_ptr<Version>> loaded;  // The latest served last.
    std::shared_ptr<Version> serving;              // One of them; null: not yet.
    std::map<int, int> loads;                      // How often each version was loaded.
    std::optional<int> held;
    int before = 0;  // The version that was served before the serving one; 0: none.
    std::map<int, Refusal> refused;
    // What keeps the model from the version that it should have, beside versions that were refused.
    // Empty: nothing. Logged when it changes.
    std::string problem;
    std::string passed_over;  // Its directory's NoVersions, the same.
  };
  // What other threads leave for this one's. Shared with the deleters of served models, which may
  // outlive the manager.
  struct Inbox {
    absl::Mutex mu;
    std::vector<std::string> unused ABSL_GUARDED_BY(mu);  // Keys whose last user is gone.
    std::deque<std::function<void(bool stopped)>> calls ABSL_GUARDED_BY(mu);
    bool running ABSL_GUARDED_BY(mu) = false;
  };

  // All below: LoadAll, or the manager's thread.
  void Run();
  void Call(std::function<void(bool stopped)> call);
  absl::StatusOr<ModelVersionsInfo> CallForModel(
      const std::string& name, std::function<absl::Status(const ModelDirectory&)> change);
  absl::Status PollOnThread();  // As LoadAll.
  absl::Status LoadOnThread(const ModelDirectory& directory, int version);
  absl::Status RollBackOnThread(const ModelDirectory& directory, int version);
  absl::StatusOr<ModelDirectory> FindDirectory(const std::string& name) const;

  // What cannot be a model: refused once for each reason.
  void RefuseDirectory(const RefusedDirectory& directory);
  void NotePassedOver(const ModelDirectory& directory);
  // Of names that are not in the repository any more.
  void NoteGone(const std::set<std::string>& there);
  void NoteRepository(const absl::Status& status);

  // Brings the model to the version that it should have. OK: it has it. Else why not; then it is
  // served as before.
  absl::Status Follow(const ModelDirectory& directory);
  absl::StatusOr<std::vector<int>> Candidates(const ModelDirectory& directory) const;
  absl::Status Try(const ModelDirectory& directory, int version);
  absl::StatusOr<std::shared_ptr<Version>> Load(const ModelDirectory& directory, int version,
                                                const std::string& stamp);
  absl::Status Place(const std::string& name, const std::shared_ptr<Version>& version,
                     std::vector<std::unique_ptr<StepExecutor>> executors);
  void Serve(const std::string& name, std::shared_ptr<Version> version);
  void Unload(const std::string& key);
  void Refuse(const std::string& name, int version, const std::string& stamp,
              const absl::Status& reason);
  // Of a model that has not the version that it should have: logs `line` if `problem` is new. True
  // if it is.
  bool Notice(const std::string& name, const std::string& problem, const std::string& line);
  // "; serving on" or "; not served".
  std::string WhatGoesOn(const std::string& name) const;
  // Null: none.
  std::shared_ptr<Version> Serving(const std::string& name) const;
  static void AddLoaded(const Roll& roll, std::map<int, VersionInfo>* versions);
  ModelVersionsInfo Describe(const ModelDirectory& directory) const ABSL_LOCKS_EXCLUDED(mu_);
  ModelVersionsInfo Describe(const RefusedDirectory& directory) const ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  ModelCatalog* const catalog_;
  ServerMetrics* const metrics_;
  Engine* engine_ = nullptr;
  WorkerSupervisor* supervisor_ = nullptr;
  std::vector<StepExecutors> executors_;  // By device, until TakeExecutors.
  bool waiting_for_room_ = false;         // A swap waits until a version is unloaded.
  bool noticed_ = false;                  // Notice was called since.
  std::string repository_problem_;        // As Roll::problem.

  const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  mutable absl::Mutex mu_;
  // Changed by the manager's thread alone.
  std::map<std::string, Roll> rolls_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_VERSIONS_VERSION_MANAGER_H_
