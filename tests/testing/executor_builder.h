// Executors for workers, made by a function.
#ifndef DIFFUSIOND_TESTS_TESTING_EXECUTOR_BUILDER_H_
#define DIFFUSIOND_TESTS_TESTING_EXECUTOR_BUILDER_H_

#include <functional>
#include <utility>
#include <vector>

#include "server/worker/executor_source.h"

namespace diffusiond {

class ExecutorBuilder : public ExecutorSource {
 public:
  using Build = std::function<absl::StatusOr<StepExecutors>(const DeviceSpec&)>;

  explicit ExecutorBuilder(Build build) : build_(std::move(build)) {}
  absl::StatusOr<StepExecutors> MakeExecutors(const DeviceSpec& device) override {
    return build_(device);
  }

 private:
  const Build build_;
};

// "cpu:0", "cpu:1", ...
inline std::vector<DeviceSpec> CpuDevices(int count) {
  std::vector<DeviceSpec> devices(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) devices[static_cast<size_t>(i)].index = i;
  return devices;
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_EXECUTOR_BUILDER_H_
