#include "server/imaging/encoder_pool.h"

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// An encoder that waits until the test lets it go, then names the frame by its first value.
class PuppetEncoder {
 public:
  absl::StatusOr<EncodedFrame> Encode(const Frame& frame) {
    absl::MutexLock lock(&mu_);
    ++running_;
    most_running_ = std::max(most_running_, running_);
    mu_.Await(absl::Condition(
        +[](PuppetEncoder* self) { return self->free_ || self->released_ > 0; }, this));
    if (!free_) --released_;
    --running_;
    return EncodedFrame{absl::StrCat(frame.values[0]), 1, 1, ""};
  }
  void AwaitRunning(int count) {
    absl::MutexLock lock(&mu_);
    const auto enough = [this, count] { return running_ >= count; };
    mu_.Await(absl::Condition(&enough));
  }
  void ReleaseAll() {
    absl::MutexLock lock(&mu_);
    free_ = true;
  }
  int most_running() {
    absl::MutexLock lock(&mu_);
    return most_running_;
  }

 private:
  absl::Mutex mu_;
  int running_ = 0;
  int most_running_ = 0;
  int released_ = 0;
  bool free_ = false;
};

// The results' names in the order in which they came.
class Results {
 public:
  EncoderPool::Callback Callback() {
    return [this](EncoderPool::Result result) {
      absl::MutexLock lock(&mu_);
      names_.push_back(result.encoded.ok() ? result.encoded->data : "error");
    };
  }
  std::vector<std::string> Await(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto enough = [this, count] { return names_.size() >= count; };
    mu_.Await(absl::Condition(&enough));
    return names_;
  }

 private:
  absl::Mutex mu_;
  std::vector<std::string> names_;
};

Frame Named(float name) { return Frame{1, 1, 1, {name}}; }

class EncoderPoolTest : public ::testing::Test {
 protected:
  std::unique_ptr<EncoderPool> Pool(int threads, int max_queued_previews) {
    EncoderPool::Options options;
    options.threads = threads;
    options.max_queued_previews = max_queued_previews;
    options.encode = [this](const Frame& frame, const EncodeOptions&) {
      return encoder_.Encode(frame);
    };
    return *EncoderPool::Create(std::move(options));
  }

  PuppetEncoder encoder_;
  Results results_;
};

TEST_F(EncoderPoolTest, JobsOfOneLaneComeOutInOrderWhateverTheNumberOfThreads) {
  const auto pool = Pool(/*threads=*/4, /*max_queued_previews=*/100);
  encoder_.ReleaseAll();
  const auto lane = pool->NewLane();
  std::vector<std::string> expected;
  for (int i = 0; i < 50; ++i) {
    ASSERT_FALSE(
        pool->SchedulePreview(lane, i, Named(static_cast<float>(i)), {}, results_.Callback()));
    expected.push_back(absl::StrCat(i));
  }
  pool->ScheduleImage(lane, Named(50), {}, results_.Callback());
  expected.push_back("50");
  EXPECT_EQ(results_.Await(51), expected);
  EXPECT_EQ(encoder_.most_running(), 1);
}

TEST_F(EncoderPoolTest, ANewerPreviewReplacesTheOneOfItsSlotThatWaits) {
  const auto pool = Pool(/*threads=*/1, /*max_queued_previews=*/3);
  const auto lane = pool->NewLane();
  pool->ScheduleImage(pool->NewLane(), Named(0), {}, results_.Callback());
  encoder_.AwaitRunning(1);
  EXPECT_FALSE(pool->SchedulePreview(lane, 0, Named(1), {}, results_.Callback()));
  EXPECT_FALSE(pool->SchedulePreview(lane, 1, Named(2), {}, results_.Callback()));
  EXPECT_FALSE(pool->SchedulePreview(pool->NewLane(), 0, Named(3), {}, results_.Callback()));
  // Also when the queue is full.
  EXPECT_TRUE(pool->SchedulePreview(lane, 0, Named(4), {}, results_.Callback()));
  encoder_.ReleaseAll();
  EXPECT_THAT(results_.Await(4), ElementsAre("0", "4", "3", "2"));
}

TEST_F(EncoderPoolTest, LanesRunAtTheSameTime) {
  const auto pool = Pool(/*threads=*/2, /*max_queued_previews=*/0);
  pool->ScheduleImage(pool->NewLane(), Named(1), {}, results_.Callback());
  pool->ScheduleImage(pool->NewLane(), Named(2), {}, results_.Callback());
  encoder_.AwaitRunning(2);
  encoder_.ReleaseAll();
  results_.Await(2);
}

TEST_F(EncoderPoolTest, PreviewsPastTheLimitAreRefusedAndImagesNever) {
  const auto pool = Pool(/*threads=*/1, /*max_queued_previews=*/2);
  const auto lane = pool->NewLane();
  pool->ScheduleImage(pool->NewLane(), Named(0), {}, results_.Callback());
  encoder_.AwaitRunning(1);
  EXPECT_FALSE(pool->SchedulePreview(lane, 1, Named(1), {}, results_.Callback()));
  EXPECT_FALSE(pool->SchedulePreview(lane, 2, Named(2), {}, results_.Callback()));
  EXPECT_TRUE(pool->SchedulePreview(lane, 3, Named(3), {}, results_.Callback()));
  pool->ScheduleImage(lane, Named(4), {}, results_.Callback());
  encoder_.ReleaseAll();
  EXPECT_THAT(results_.Await(4), ElementsAre("0", "1", "2", "4"));
  // The places are free again.
  EXPECT_FALSE(pool->SchedulePreview(lane, 5, Named(5), {}, results_.Callback()));
  results_.Await(5);
}

TEST_F(EncoderPoolTest, AbandonedJobsAreNotEncodedAndFreeTheirPlaces) {
  const auto pool = Pool(/*threads=*/1, /*max_queued_previews=*/1);
  const auto abandoned = pool->NewLane();
  pool->ScheduleImage(pool->NewLane(), Named(0), {}, results_.Callback());
  encoder_.AwaitRunning(1);
  EXPECT_FALSE(pool->SchedulePreview(abandoned, 1, Named(1), {}, results_.Callback()));
  pool->ScheduleImage(abandoned, Named(2), {}, results_.Callback());
  pool->Abandon(abandoned);
  EXPECT_FALSE(pool->SchedulePreview(pool->NewLane(), 3, Named(3), {}, results_.Callback()));
  // A lane can be used again.
  pool->ScheduleImage(abandoned, Named(4), {}, results_.Callback());
  encoder_.ReleaseAll();
  EXPECT_THAT(results_.Await(3), ElementsAre("0", "4", "3"));
}

TEST_F(EncoderPoolTest, DestructionFreesWaitingCallbacksThatOwnTheirLane) {
  auto pool = Pool(/*threads=*/1, /*max_queued_previews=*/10);
  const auto token = std::make_shared<int>(0);
  const auto busy = pool->NewLane();
  pool->ScheduleImage(busy, Named(0), {}, results_.Callback());
  encoder_.AwaitRunning(1);
  for (const auto& lane : {busy, pool->NewLane()}) {
    pool->ScheduleImage(lane, Named(1), {}, [lane, token](EncoderPool::Result) {});
  }
  EXPECT_EQ(token.use_count(), 3);
  absl::Notification destroyed;
  std::thread destroyer([&] {
    pool.reset();
    destroyed.Notify();
  });
  encoder_.ReleaseAll();
  destroyed.WaitForNotification();
  destroyer.join();
  EXPECT_EQ(token.use_count(), 1);
}

TEST(EncoderPoolOptions, OutOfRangeNamesOptionValueAndRange) {
  for (const int threads : {0, -1, EncoderPool::kMaxThreads + 1}) {
    EncoderPool::Options options;
    options.threads = threads;
    const auto pool = EncoderPool::Create(options);
    EXPECT_EQ(pool.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(pool.status().message(), HasSubstr(absl::StrCat("threads is ", threads)));
  }
  EncoderPool::Options options;
  options.max_queued_previews = -1;
  EXPECT_THAT(EncoderPool::Create(options).status().message(),
              HasSubstr("max_queued_previews is -1"));
}

}  // namespace
}  // namespace diffusiond
