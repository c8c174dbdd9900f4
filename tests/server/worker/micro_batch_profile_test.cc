#include "server/worker/micro_batch_profile.h"

#include <map>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;

// A device whose rates are known, and time that passes where the test says so.
class Trial {
 public:
  explicit Trial(std::map<int, double> rates) : rates_(std::move(rates)) {}

  absl::StatusOr<std::vector<int>> Sizes() {
    MicroBatchTrial trial;
    trial.measure = [this](int size) -> absl::StatusOr<double> {
      now_ += each_;
      const auto rate = rates_.find(size);
      if (rate == rates_.end()) return failure_;
      return rate->second;
    };
    trial.fits = [this](int size) { return size <= most_; };
    trial.now = [this] { return now_; };
    const auto profile = ProfileMicroBatches(trial);
    if (!profile.ok()) return profile.status();
    chosen_ = ChooseMicroBatch(*profile);
    std::vector<int> sizes;
    for (const MicroBatchProfile& tried : *profile) sizes.push_back(tried.micro_batch);
    return sizes;
  }

  int chosen() const { return chosen_; }
  absl::Status failure_ = absl::InternalError("device lost");
  int most_ = 1024;
  absl::Duration each_ = absl::ZeroDuration();

 private:
  const std::map<int, double> rates_;
  absl::Time now_ = absl::UnixEpoch();
  int chosen_ = 0;
};

TEST(MicroBatchProfileTest, SizesDoubleUntilThatGainsLittle) {
  Trial trial({{1, 100}, {2, 190}, {4, 300}, {8, 310}, {16, 320}});
  EXPECT_THAT(*trial.Sizes(), ElementsAre(1, 2, 4, 8));
  EXPECT_EQ(trial.chosen(), 4) << "the smallest that has four fifths of 310";
}

TEST(MicroBatchProfileTest, SixtyFourIsTheLargest) {
  std::map<int, double> rates;
  for (int size = 1; size <= 256; size *= 2) rates[size] = 100.0 * size;
  Trial trial(rates);
  EXPECT_THAT(*trial.Sizes(), ElementsAre(1, 2, 4, 8, 16, 32, 64));
  EXPECT_EQ(trial.chosen(), 64);
}

TEST(MicroBatchProfileTest, TakesNoMoreMemoryThanAllowed) {
  Trial trial({{1, 100}, {2, 190}, {4, 300}});
  trial.most_ = 2;
  EXPECT_THAT(*trial.Sizes(), ElementsAre(1, 2));
  trial.most_ = 0;
  EXPECT_THAT(*trial.Sizes(), ElementsAre(1)) << "one row was allowed before";
}

TEST(MicroBatchProfileTest, ASizeThatDoesNotFitTheDeviceEndsIt) {
  Trial trial({{1, 100}, {2, 190}});
  trial.failure_ = absl::ResourceExhaustedError("no memory");
  EXPECT_THAT(*trial.Sizes(), ElementsAre(1, 2));
  Trial none(std::map<int, double>{});
  none.failure_ = absl::ResourceExhaustedError("no memory");
  EXPECT_EQ(none.Sizes().status(), none.failure_) << "not even one row fits";
}

TEST(MicroBatchProfileTest, OtherErrorsAreItsOwn) {
  Trial trial(std::map<int, double>{{1, 100}});
  EXPECT_EQ(trial.Sizes().status(), trial.failure_);
}

TEST(MicroBatchProfileTest, ASlowDeviceIsNotProfiledForLong) {
  Trial trial({{1, 100}, {2, 200}, {4, 400}, {8, 800}});
  trial.each_ = absl::Seconds(2);
  EXPECT_THAT(*trial.Sizes(), ElementsAre(1, 2));
}

}  // namespace
}  // namespace diffusiond
