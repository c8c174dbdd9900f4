// The server without gRPC, wired as server/diffusiond.cc does, over simulated devices.
#ifndef DIFFUSIOND_TESTS_SIMULATION_MACHINE_H_
#define DIFFUSIOND_TESTS_SIMULATION_MACHINE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/engine/engine.h"
#include "server/worker/executor_source.h"
#include "server/worker/worker_supervisor.h"
#include "tests/simulation/client.h"
#include "tests/simulation/fibers.h"
#include "tests/simulation/promises.h"
#include "tests/simulation/simulated_device.h"
#include "tests/simulation/unwatched.h"
#include "tests/simulation/versions.h"
#include "tests/simulation/world.h"

namespace diffusiond {

// What the engine counts.
struct CountedMetrics : EngineMetrics {
  explicit CountedMetrics(Promises* promises) : promises(promises) {}

  void OnQueueDepth(const QueueDepth& depth) override {
    const Unwatched unwatched;
    waiting = depth.waiting;
    resident = depth.resident;
    promises->ResidentLimit(depth.resident_limit);
  }
  void OnGenerationFinished(const GenerationEnd&) override { Count(ends); }
  void OnFirstStep(const FirstStep&) override { Count(first_steps); }
  void OnPreemptions(int count) override { Count(preemptions, count); }
  void OnMigrations(int count) override { Count(migrations, count); }
  void OnDeviceFailure(const std::string&) override { Count(failures); }

  static void Count(int& sum, int count = 1) {
    const Unwatched unwatched;
    sum += count;
  }

  const UnwatchedPtr<Promises> promises;
  int waiting = 0, resident = 0;
  int ends = 0, first_steps = 0, preemptions = 0, migrations = 0, failures = 0;
};

class Machine : public ExecutorSource, public WorkerObserver {
 public:
  Machine(const World& world, Fibers* fibers, Promises* promises);
  // Everything has ended.
  ~Machine() override;

  // Starts it.
  void Start();
  Engine& engine() { return *engine_; }
  const CountedMetrics& metrics() const { return metrics_; }
  const SimulatedDevices& devices() const { return devices_; }

  // What is served of a model.
  ServedVersion Serving(int model) const { return versions_.Serving(model); }

  // Whether some worker works or will again.
  bool HasFuture();
  // Whether some device is left alone since it hangs too often.
  bool HungForGood() const;

  // As Diffusiond does when it is told to end. After Stop all threads have ended but for those that
  // hang, and every request is refused; Destroy is for when nobody asks any more.
  bool Drain(absl::Duration patience);
  void Stop();
  void Destroy() { engine_.reset(); }

  // ExecutorSource:
  absl::StatusOr<StepExecutors> MakeExecutors(const DeviceSpec& device) override;
  // WorkerObserver:
  void OnWorkerUp(const std::string& worker) override;
  void OnWorkerDown(const std::string& worker, const absl::Status& reason) override;

 private:
  std::unique_ptr<Engine> MakeEngine();
  // A worker that speaks to the engine itself.
  void WorkAlone(int device);
  void StartAlone(int device);
  enum class Stays { kYes, kNo, kGivenUp };
  // One step of it. kNo: it has left, and comes back as another.
  Stays StepAlone(int device, WorkerId id, StepExecutors& executors, StepBatch batch);

  struct Built {
    absl::Time down = absl::InfinitePast();
    int hangs = 0;
  };

  const World& world_;
  Fibers* const fibers_;
  const UnwatchedPtr<Promises> promises_;
  CountedMetrics metrics_;
  SimulatedDevices devices_;
  Versions versions_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<WorkerSupervisor> supervisor_;
  std::map<std::string, int> indices_;  // Of supervised devices, by name.
  std::map<int, Built> built_;
  std::vector<int> lone_workers_;  // Fibers.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SIMULATION_MACHINE_H_
