// How many rows a network call should have, where their number is fixed: on CUDA.
#ifndef DIFFUSIOND_SERVER_WORKER_MICRO_BATCH_PROFILE_H_
#define DIFFUSIOND_SERVER_WORKER_MICRO_BATCH_PROFILE_H_

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace diffusiond {

inline constexpr int kMaxMicroBatch = 1024;

// What one size of micro-batch gave.
struct MicroBatchProfile {
  int micro_batch = 1;
  double passes_per_second = 0;  // With all lanes of the device busy.
};

struct MicroBatchTrial {
  // Passes a second of micro-batches of that size. RESOURCE_EXHAUSTED: they do not fit the device.
  std::function<absl::StatusOr<double>(int micro_batch)> measure;
  // Whether that size's memory may be taken.
  std::function<bool(int micro_batch)> fits;
  std::function<absl::Time()> now = absl::Now;
};

// Sizes from 1 on, doubled until that gains little, the next does not fit, or the profile has taken
// long enough. The first error of `measure`, but for a size that is too large for the device.
absl::StatusOr<std::vector<MicroBatchProfile>> ProfileMicroBatches(const MicroBatchTrial& trial);

// The smallest that has four fifths of the fastest one's rate: a lone image waits for its whole
// micro-batch at every step, so smaller ones are quicker where the server is not full.
int ChooseMicroBatch(const std::vector<MicroBatchProfile>& profile);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_WORKER_MICRO_BATCH_PROFILE_H_
