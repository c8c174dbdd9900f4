// How far a request is, how fast it goes, and when it will be done.
#ifndef DIFFUSIOND_CLIENT_PROGRESS_METER_H_
#define DIFFUSIOND_CLIENT_PROGRESS_METER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace diffusiond {

// Counts in steps of the average image: 100 images at step 5 are 5 steps done. Thread-compatible.
class ProgressMeter {
 public:
  // `count` images of `steps` steps; both at least 1.
  ProgressMeter(uint32_t count, uint32_t steps);

  // `image_index` below count; `steps_total` as the server has it (it may differ from `steps`).
  void Update(uint32_t image_index, uint32_t steps_done, uint32_t steps_total, absl::Time now);

  double fraction() const;  // 0 .. 1.
  uint32_t steps_done() const;
  uint32_t steps_total() const { return steps_total_; }

  // From the first step to the last; absent until there are two different moments.
  std::optional<double> StepsPerSecond() const;
  std::optional<absl::Duration> TimeLeft() const;

 private:
  double MeanStepsDone() const;

  std::vector<uint32_t> steps_done_;
  uint64_t sum_ = 0;
  uint32_t steps_total_;
  std::optional<absl::Time> first_update_;
  double first_steps_ = 0;
  absl::Time last_update_;
};

// "0.4 s", "12 s", "3 min 20 s", "2 h 5 min".
std::string FormatSpan(absl::Duration span);

// Three digits or so: "0.52", "12.4", "318".
std::string FormatRate(double rate);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_PROGRESS_METER_H_
