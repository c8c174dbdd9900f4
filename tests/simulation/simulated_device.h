// A device without a network, on which steps take time and go wrong as the world says.
#ifndef DIFFUSIOND_TESTS_SIMULATION_SIMULATED_DEVICE_H_
#define DIFFUSIOND_TESTS_SIMULATION_SIMULATED_DEVICE_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/engine/step_executor.h"
#include "tests/simulation/fibers.h"
#include "tests/simulation/promises.h"
#include "tests/simulation/unwatched.h"
#include "tests/simulation/world.h"

namespace diffusiond {

// One machine's devices, as far as they outlive workers: how often each was used.
class SimulatedDevices {
 public:
  SimulatedDevices(const World& world, Fibers* fibers, Promises* promises);

  // What befalls the device at its next step, or at its next build; null: nothing.
  const World::Fault* NextStep(int device);
  const World::Fault* NextBuild(int device);

  const World& world;
  Fibers* const fibers;
  const UnwatchedPtr<Promises> promises;
  int registers_alive = 0;
  int executors_alive = 0;

 private:
  struct Used {
    int steps = 0, builds = 0;
  };

  std::map<int, Used> used_;
  std::map<std::pair<int, int>, const World::Fault*> step_faults_, build_faults_;
};

// Registers count the rows that were done to them; frames show the count.
class SimulatedExecutor : public StepExecutor {
 public:
  SimulatedExecutor(SimulatedDevices* devices, int device, std::string model, int version,
                    World::Model shape);
  ~SimulatedExecutor() override;

  int capacity() const override { return shape_.capacity; }
  int micro_batch() const override { return shape_.micro_batch; }
  // With the fault that befalls the device.
  absl::Status Step(absl::Span<StepTask> tasks) override {
    return Step(tasks, devices_->NextStep(device_));
  }
  absl::Status Step(absl::Span<StepTask> tasks, const World::Fault* fault);
  absl::Duration TimeOf(absl::Span<const StepTask> tasks) const;

 private:
  void Advance(StepTask& task) const;

  SimulatedDevices* const devices_;
  const int device_;
  const std::string model_;
  const int version_;
  const World::Model shape_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SIMULATION_SIMULATED_DEVICE_H_
