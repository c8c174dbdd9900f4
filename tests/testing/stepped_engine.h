// An engine whose only worker is the test, one batch at a time.
#ifndef DIFFUSIOND_TESTS_TESTING_STEPPED_ENGINE_H_
#define DIFFUSIOND_TESTS_TESTING_STEPPED_ENGINE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/engine/engine.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/fake_executor.h"
#include "tests/testing/recording_listener.h"

namespace diffusiond {

// When a call here returns, listeners and metrics have been told all that it caused; after a call
// to engine() itself, AwaitTold waits for that. Thread-compatible, and not for listeners to call.
// Ends with Shutdown, and fails the test if registers are left then.
class SteppedEngine {
 public:
  struct Options {
    Engine::Options engine;  // `now` is replaced by clock().
    FakeExecutor::Options executor;
    std::vector<std::string> models = {"model"};  // All run on the one executor.
  };

  explicit SteppedEngine(Options options);
  SteppedEngine() : SteppedEngine(Options()) {}
  ~SteppedEngine();

  Engine& engine() { return *engine_; }
  FakeClock& clock() { return clock_; }
  FakeExecutor& executor() { return executor_; }

  // The worker that Take and Step are; more can be added to engine().
  WorkerId worker() const { return worker_; }
  // What all workers here can run.
  const std::vector<WorkerCapacity>& capacities() const { return capacities_; }

  // Submits; the generation's identifier is in last_id(). A refusal is a test failure.
  std::shared_ptr<RecordingListener> Submit(GenerationSpec spec);
  GenerationId last_id() const { return last_id_; }
  void Cancel(GenerationId id, absl::Status reason);
  void AwaitTold() { engine_->AwaitTold(); }

  // Takes a batch, without running it; nullopt: there is none.
  std::optional<StepBatch> Take();
  // Runs a batch and gives it back.
  void Finish(StepBatch batch);
  // Take and Finish; what was in the batch, empty if there was none.
  std::vector<SeenTask> Step();
  // Steps until there is nothing to do; the number of batches.
  int StepAll();

 private:
  FakeClock clock_;
  FakeExecutor executor_;
  std::vector<WorkerCapacity> capacities_;
  std::unique_ptr<Engine> engine_;
  WorkerId worker_ = 0;
  GenerationId last_id_ = 0;
};

// A generation of `count` images with this seed.
GenerationSpec Images(int count, uint64_t seed, std::shared_ptr<const SamplingPlan> plan);

// The seeds of a batch's rows, in order.
std::vector<uint64_t> Seeds(const std::vector<SeenTask>& rows);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_STEPPED_ENGINE_H_
