// Keeps a worker running on every device: takes out what fails or hangs, and builds it again.
#ifndef DIFFUSIOND_SERVER_WORKER_WORKER_SUPERVISOR_H_
#define DIFFUSIOND_SERVER_WORKER_WORKER_SUPERVISOR_H_

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
#include "server/worker/device_worker.h"
#include "server/worker/executor_source.h"

namespace diffusiond {

// What the supervisor tells. Calls come one at a time, with no lock of the engine held.
class WorkerObserver {
 public:
  virtual ~WorkerObserver() = default;
  virtual void OnWorkerUp(const std::string& /*worker*/) {}
  virtual void OnWorkerDown(const std::string& /*worker*/, const absl::Status& /*reason*/) {}
  // After each of these: workers that take work.
  virtual void OnWorkersRunning(int /*running*/) {}
};

// Thread-safe. One thread of its own checks at intervals and builds.
class WorkerSupervisor {
 public:
  struct Options {
    absl::Duration watchdog = absl::Minutes(1);  // A step that takes longer hangs.
    // Before a worker is built again; doubles each time that it fails soon after.
    absl::Duration first_backoff = absl::Seconds(1);
    absl::Duration longest_backoff = absl::Minutes(1);
    // A thread that hangs cannot be ended, and keeps its copy of the models: a device that did this
    // so often is not built again.
    int max_hangs = 3;
    std::function<absl::Time()> now = absl::Now;
    WorkerObserver* observer = nullptr;  // Not owned; may be null.
  };

  // Starts a worker on each device, with what `source` has for it; so is each that is built again,
  // from the supervisor's thread. `engine` and `source` are not owned and outlive this. Not OK: as
  // `source`, and as DeviceWorker::Start.
  static absl::StatusOr<std::unique_ptr<WorkerSupervisor>> Start(Engine* engine,
                                                                 std::vector<DeviceSpec> devices,
                                                                 ExecutorSource* source,
                                                                 Options options);
  ~WorkerSupervisor();  // As Stop.

  // Stops the workers, but for threads that hang; nothing else may follow. Returns how many hang,
  // of all that were ever given up and may still be there: then do not run static destructors.
  int Stop() ABSL_LOCKS_EXCLUDED(mu_, check_mu_);

  // Gives every worker that runs one more model, executors by device. A worker that is built at the
  // same time has it from the source, which must know of it already. INVALID_ARGUMENT: as
  // DeviceWorker::AddModel.
  absl::Status AddModel(const std::string& model,
                        std::vector<std::unique_ptr<StepExecutor>> executors)
      ABSL_LOCKS_EXCLUDED(mu_, check_mu_);

  // Takes a model away, from the engine and every worker; the source must know of it no more.
  void RemoveModel(const std::string& model) ABSL_LOCKS_EXCLUDED(mu_, check_mu_);

  // Takes out what hangs, and builds what is due. For tests: the thread does so by itself, every
  // quarter of the watchdog's time or 15 s. A step that ran while nobody looked for much longer is
  // not held to have hung then.
  void Check() ABSL_LOCKS_EXCLUDED(mu_, check_mu_);

  int running() ABSL_LOCKS_EXCLUDED(mu_);
  // Threads that were given up and may still be there.
  int hung_threads() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Slot {
    DeviceSpec device;
    std::unique_ptr<DeviceWorker> worker;         // Null: taken out.
    absl::Status failure;                         // Not OK: the worker has ended by itself.
    absl::Time started = absl::InfiniteFuture();  // That runs, or has just ended.
    absl::Duration backoff;
    absl::Time retry_at;
    int hangs = 0;
  };

  WorkerSupervisor(Engine* engine, const std::vector<DeviceSpec>& devices, ExecutorSource* source,
                   Options options);
  absl::Status StartWorker(size_t index, StepExecutors executors);
  // Null: taken out. Stays valid until the next check.
  DeviceWorker* WorkerAt(size_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(check_mu_);
  void TakeOutFailed(size_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(check_mu_);
  void TakeOutHung(size_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(check_mu_);
  void Rebuild(size_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(check_mu_);
  void NoteDown(size_t index, const absl::Status& reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(check_mu_);
  void Tell(const std::string& worker, const absl::Status& state);
  void Run();

  Engine* const engine_;
  ExecutorSource* const source_;
  const Options options_;
  const absl::Duration interval_;  // Between checks.

  absl::Mutex check_mu_;  // One check at a time; guards what only checks change.
  absl::Time checked_ ABSL_GUARDED_BY(check_mu_);  // The end of the last check.
  // A step's time counts from here: while nobody could look it may have stood still too.
  absl::Time awake_since_ ABSL_GUARDED_BY(check_mu_) = absl::InfinitePast();
  absl::Mutex mu_ ABSL_ACQUIRED_AFTER(check_mu_);
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool failed_ ABSL_GUARDED_BY(mu_) = false;  // A check is due at once.
  std::thread thread_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_WORKER_WORKER_SUPERVISOR_H_
