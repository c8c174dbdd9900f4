#include "server/worker/micro_batch_profile.h"

#include <algorithm>

namespace diffusiond {
namespace {

constexpr absl::Duration kProfileTime = absl::Seconds(3);
constexpr int kLargestProfiled = 64;
constexpr double kLittleGain = 1.05;
constexpr double kAsGood = 0.8;

}  // namespace

absl::StatusOr<std::vector<MicroBatchProfile>> ProfileMicroBatches(const MicroBatchTrial& trial) {
  std::vector<MicroBatchProfile> profile;
  double best = 0;
  const absl::Time begin = trial.now();
  for (int size = 1; size <= kLargestProfiled && trial.now() - begin < kProfileTime; size *= 2) {
    if (!profile.empty() && !trial.fits(size)) break;
    const absl::StatusOr<double> rate = trial.measure(size);
    if (absl::IsResourceExhausted(rate.status()) && !profile.empty()) break;
    if (!rate.ok()) return rate.status();
    profile.push_back({size, *rate});
    if (*rate < kLittleGain * best) break;
    best = std::max(best, *rate);
  }
  return profile;
}

int ChooseMicroBatch(const std::vector<MicroBatchProfile>& profile) {
  double best = 0;
  for (const MicroBatchProfile& tried : profile) {
    best = std::max(best, tried.passes_per_second);
  }
  for (const MicroBatchProfile& tried : profile) {
    if (tried.passes_per_second >= kAsGood * best) return tried.micro_batch;
  }
  return 1;
}

}  // namespace diffusiond
