#include "server/engine/outbox.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/recording_listener.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr GenerationId kOne = 1, kOther = 2;

EngineEvent Progress(int image, int step, GenerationId id = kOne) {
  return {id, EngineEvent::Progress{image, step, 99}};
}
EngineEvent Preview(int image, int step, PreviewContent kind = PreviewContent::kX0Hat,
                    GenerationId id = kOne) {
  return {id, EngineEvent::Preview{image, step, 0, kind, {}}};
}
EngineEvent FinalImage(int image) { return {kOne, EngineEvent::FinalImage{image, {}}}; }
EngineEvent Finished(absl::Status status = absl::OkStatus(), GenerationId id = kOne) {
  return {id, EngineEvent::Finished{std::move(status), {}}};
}

// Holds those who are told something that begins with certain words, as a slow encoder does.
class Gate {
 public:
  explicit Gate(std::set<std::string> words) : words_(std::move(words)) {}

  // For RecordingListener.
  std::function<void(const std::string&)> AsHook() {
    return [this](const std::string& line) {
      const auto open = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
        return std::none_of(words_.begin(), words_.end(),
                            [&](const std::string& word) { return absl::StartsWith(line, word); });
      };
      absl::MutexLock lock(&mu_);
      ++held_;
      mu_.Await(absl::Condition(&open));
      --held_;
    };
  }
  void AwaitHeld(int count) {
    absl::MutexLock lock(&mu_);
    const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return held_ >= count; };
    mu_.Await(absl::Condition(&enough));
  }
  // These words too, from now on.
  void Hold(const std::string& words) {
    absl::MutexLock lock(&mu_);
    words_.insert(words);
  }
  void Open(const std::string& words) {
    absl::MutexLock lock(&mu_);
    words_.erase(words);
  }
  void Open() {
    absl::MutexLock lock(&mu_);
    words_.clear();
  }

 private:
  absl::Mutex mu_;
  std::set<std::string> words_ ABSL_GUARDED_BY(mu_);
  int held_ ABSL_GUARDED_BY(mu_) = 0;
};

class OutboxTest : public ::testing::Test {
 protected:
  void Start(int images, int frame_threads = 2, int max_waiting_previews = 64) {
    outbox_ = std::make_unique<Outbox>(Outbox::Options{.frame_threads = frame_threads,
                                                       .max_waiting_previews = max_waiting_previews,
                                                       .count = [this](const EngineCounts& counts) {
                                                         absl::MutexLock lock(&mu_);
                                                         counted_ += counts.migrations;
                                                       }});
    outbox_->Add(kOne, listener_, images);
  }
  ~OutboxTest() override { gate_.Open(); }

  void Post(std::vector<EngineEvent> events, EngineCounts counts = {}) {
    outbox_->Post(std::move(events), std::move(counts));
    outbox_->Wake();
  }
  int counted() {
    absl::MutexLock lock(&mu_);
    return counted_;
  }

  Gate gate_{{"preview", "image"}};
  const std::shared_ptr<RecordingListener> listener_ =
      std::make_shared<RecordingListener>(gate_.AsHook());
  absl::Mutex mu_;
  int counted_ ABSL_GUARDED_BY(mu_) = 0;
  std::unique_ptr<Outbox> outbox_;
};

TEST_F(OutboxTest, TellsWhatWasPostedInOrder) {
  gate_.Open();
  Start(1);
  Post({Progress(0, 1), Preview(0, 1, PreviewContent::kXt), Preview(0, 1)});
  outbox_->AwaitQuiet();
  EXPECT_THAT(listener_->log(),
              ElementsAre("progress 0 1/99", "preview 0 1 x_t", "preview 0 1 x0_hat"));
  Post({Progress(0, 2), FinalImage(0), Finished()});
  EXPECT_TRUE(outbox_->AwaitAllEnded(absl::InfiniteDuration()));
  EXPECT_THAT(listener_->log_of(0),
              ElementsAre("progress 0 1/99", "preview 0 1 x_t", "preview 0 1 x0_hat",
                          "progress 0 2/99", "image 0"));
  EXPECT_EQ(listener_->log().back(), "finished OK");
}

TEST_F(OutboxTest, ANewerPreviewReplacesTheOneOfItsKindThatWaits) {
  Start(1, /*frame_threads=*/1);
  Post({Preview(0, 1)});
  gate_.AwaitHeld(1);
  for (int step = 2; step <= 4; ++step) {
    Post({Preview(0, step), Preview(0, step, PreviewContent::kXt)});
  }
  listener_->AwaitPreviewsDropped(4);  // While the encoder is still at the first.
  gate_.Open();
  outbox_->AwaitQuiet();
  EXPECT_THAT(listener_->log(),
              ElementsAre("preview 0 1 x0_hat", "preview 0 4 x0_hat", "preview 0 4 x_t"));
  EXPECT_EQ(listener_->previews_dropped(), 4);
  Post({Finished()});
}

TEST_F(OutboxTest, ANewerProgressReplacesTheOneThatWaits) {
  Start(1);
  gate_.Hold("progress 0 1");
  Post({Progress(0, 1)});
  gate_.AwaitHeld(1);
  for (int step = 2; step <= 4; ++step) Post({Progress(0, step)});
  gate_.Open();
  outbox_->AwaitQuiet();
  EXPECT_THAT(listener_->log(), ElementsAre("progress 0 1/99", "progress 0 4/99"));
  Post({Finished()});
}

// The listener itself fails the test on a preview beside its step's progress.
TEST_F(OutboxTest, NoFrameComesBeforeTheProgressOfItsStep) {
  Start(4, /*frame_threads=*/1);
  Post({Preview(3, 1)});
  gate_.AwaitHeld(1);
  Post({Preview(0, 1), Preview(1, 1)});
  Post({Progress(2, 1)});
  listener_->AwaitLine("progress 2 1/99");  // Both wait for the encoder by now, or soon.
  Post({Progress(2, 2)});
  listener_->AwaitLine("progress 2 2/99");
  gate_.Hold("progress 0 2");
  Post({Progress(0, 2), Preview(0, 2)});
  gate_.AwaitHeld(2);
  gate_.Open("preview");
  listener_->AwaitLine("preview 1 1 x0_hat");  // The turn of image 0 has passed.
  EXPECT_THAT(listener_->log_of(0), ElementsAre("progress 0 2/99"));
  gate_.Open();
  outbox_->AwaitQuiet();
  EXPECT_THAT(listener_->log_of(0), ElementsAre("progress 0 2/99", "preview 0 2 x0_hat"));
  Post({Finished()});
}

TEST_F(OutboxTest, PreviewsPastTheLimitAreDroppedAndImagesNever) {
  Start(4, /*frame_threads=*/1, /*max_waiting_previews=*/1);
  Post({Preview(0, 1)});
  gate_.AwaitHeld(1);
  Post({Preview(1, 1), Preview(2, 1), FinalImage(1), FinalImage(2), FinalImage(3)});
  listener_->AwaitPreviewsDropped(1);
  gate_.Open();
  outbox_->AwaitQuiet();
  EXPECT_THAT(listener_->log_of(1), ElementsAre("preview 1 1 x0_hat", "image 1"));
  EXPECT_THAT(listener_->log_of(2), ElementsAre("image 2"));
  EXPECT_THAT(listener_->log_of(3), ElementsAre("image 3"));
  // Those that were told have left their places.
  Post({Preview(0, 2)});
  outbox_->AwaitQuiet();
  EXPECT_THAT(listener_->log_of(0), ElementsAre("preview 0 1 x0_hat", "preview 0 2 x0_hat"));
  Post({Finished()});
}

TEST_F(OutboxTest, FramesOfDifferentImagesAreTakenAtTheSameTime) {
  Start(3, /*frame_threads=*/3);
  Post({FinalImage(0), FinalImage(1), FinalImage(2), Finished()});
  gate_.AwaitHeld(3);
}

TEST_F(OutboxTest, ProgressAndEndsDoNotWaitForFrames) {
  Start(3, /*frame_threads=*/1);
  auto other = std::make_shared<RecordingListener>();
  outbox_->Add(kOther, other, 1);
  Post({Progress(0, 1), Preview(0, 1)});
  gate_.AwaitHeld(1);
  Post({Progress(1, 7), Preview(1, 7)});
  Post(
      {Progress(0, 2), Progress(1, 8), Progress(0, 1, kOther), Finished(absl::OkStatus(), kOther)});
  EXPECT_TRUE(other->AwaitFinished().ok());
  EXPECT_THAT(other->log(), ElementsAre("progress 0 1/99", "finished OK"));
  listener_->AwaitLine("progress 0 2/99");  // Its own preview is at the encoder,
  listener_->AwaitLine("progress 1 8/99");  // or waits for it.
  gate_.Open();
  outbox_->AwaitQuiet();
  EXPECT_EQ(listener_->log_of(0).back(), "progress 0 2/99");
  EXPECT_EQ(listener_->log_of(1).back(), "preview 1 7 x0_hat");
  Post({Finished()});
}

TEST_F(OutboxTest, TheEndComesAfterTheLastImageHasBeenTaken) {
  Start(1);
  Post({FinalImage(0), Finished()});
  gate_.AwaitHeld(1);
  EXPECT_FALSE(outbox_->AwaitAllEnded(absl::ZeroDuration()));
  EXPECT_EQ(listener_->finished_calls(), 0);
  gate_.Open();
  EXPECT_TRUE(outbox_->AwaitAllEnded(absl::InfiniteDuration()));
  EXPECT_THAT(listener_->log(), ElementsAre("image 0", "finished OK"));
}

TEST_F(OutboxTest, ALostPreviewThatIsToldOfAfterTheLastEventEndsNothingEarly) {
  Start(2, /*frame_threads=*/1);
  auto other = std::make_shared<RecordingListener>();
  outbox_->Add(kOther, other, 0);
  Post({FinalImage(0)});
  gate_.AwaitHeld(1);
  Post({Preview(1, 1), Preview(1, 2), Finished()});
  listener_->AwaitPreviewsDropped(1);
  Post({Finished(absl::OkStatus(), kOther)});
  other->AwaitFinished().IgnoreError();
  EXPECT_EQ(listener_->finished_calls(), 0);
  gate_.Open();
  EXPECT_TRUE(listener_->AwaitFinished().ok());
  EXPECT_THAT(listener_->log(), ElementsAre("image 0", "preview 1 2 x0_hat", "finished OK"));
}

TEST_F(OutboxTest, AnEarlyEndDropsPreviewsAndProgressAndNoImage) {
  Start(4, /*frame_threads=*/1, /*max_waiting_previews=*/2);
  Post({FinalImage(0)});
  gate_.AwaitHeld(1);
  Post({Preview(1, 1), Progress(1, 2), Preview(2, 1), FinalImage(3),
        Finished(absl::CancelledError("seen enough"))});
  gate_.Open();
  EXPECT_TRUE(outbox_->AwaitAllEnded(absl::InfiniteDuration()));
  EXPECT_THAT(listener_->log(), ElementsAre("image 0", "image 3", "finished CANCELLED"));
  // The previews' places are free.
  auto next = std::make_shared<RecordingListener>();
  outbox_->Add(kOther, next, 2);
  Post({Preview(0, 1, PreviewContent::kXt, kOther), Preview(1, 1, PreviewContent::kXt, kOther),
        Finished(absl::OkStatus(), kOther)});
  next->AwaitFinished().IgnoreError();
  EXPECT_EQ(next->previews().size(), 2u);
}

TEST_F(OutboxTest, ReleasesTheListenerAfterItsEnd) {
  Start(1);
  EXPECT_EQ(listener_.use_count(), 2);
  Post({Finished(absl::CancelledError("x"))});
  EXPECT_TRUE(outbox_->AwaitAllEnded(absl::InfiniteDuration()));
  EXPECT_EQ(listener_.use_count(), 1);
}

TEST_F(OutboxTest, CountsBeforeItTells) {
  Start(1);
  int counted_by_the_end = 0;
  auto scraper = std::make_shared<RecordingListener>(
      [&](const std::string&) { counted_by_the_end = counted(); });
  outbox_->Add(kOther, scraper, 0);
  EngineCounts counts;
  counts.migrations = 3;
  Post({Finished(absl::OkStatus(), kOther)}, counts);
  scraper->AwaitFinished().IgnoreError();
  EXPECT_EQ(counted_by_the_end, 3);
  Post({Finished()});
}

TEST_F(OutboxTest, WhatAListenerCausesIsToldAfterItsCallReturns) {
  Start(1);
  auto listener = std::make_shared<RecordingListener>([this](const std::string& line) {
    if (line == "progress 0 1/99") Post({Finished(absl::CancelledError("x"), kOther)});
  });
  outbox_->Add(kOther, listener, 1);
  Post({Progress(0, 1, kOther)});
  listener->AwaitFinished().IgnoreError();
  EXPECT_THAT(listener->log(), ElementsAre("progress 0 1/99", "finished CANCELLED"));
  Post({Finished()});
}

// The listener itself fails the test on calls at the same time.
TEST_F(OutboxTest, InAHurryNothingIsOutOfOrderAndEveryPreviewIsToldOrCounted) {
  constexpr int kImages = 6, kSteps = 300;
  gate_.Open();
  Start(kImages, /*frame_threads=*/4, /*max_waiting_previews=*/4);
  std::vector<std::thread> workers;
  for (int image = 0; image < kImages; ++image) {
    workers.emplace_back([this, image] {
      for (int step = 1; step < kSteps; ++step) Post({Progress(image, step), Preview(image, step)});
      Post({Progress(image, kSteps), FinalImage(image)});
    });
  }
  for (std::thread& worker : workers) worker.join();
  Post({Finished()});
  EXPECT_TRUE(outbox_->AwaitAllEnded(absl::InfiniteDuration()));
  int previews = 0;
  for (int image = 0; image < kImages; ++image) {
    int progress = 0, preview = 0;
    const std::vector<std::string> log = listener_->log_of(image);
    for (const std::string& line : log) {
      const std::vector<std::string> words = absl::StrSplit(line, absl::ByAnyChar(" /"));
      if (words[0] == "image") continue;
      int& last = words[0] == "progress" ? progress : preview;
      EXPECT_GT(std::stoi(words[2]), last);
      last = std::stoi(words[2]);
      previews += words[0] == "preview" ? 1 : 0;
    }
    EXPECT_EQ(progress, kSteps);
    ASSERT_FALSE(log.empty());
    EXPECT_EQ(log.back(), absl::StrCat("image ", image));
  }
  EXPECT_EQ(previews + listener_->previews_dropped(), kImages * (kSteps - 1));
}

}  // namespace
}  // namespace diffusiond
