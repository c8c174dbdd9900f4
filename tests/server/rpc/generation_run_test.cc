#include "server/rpc/generation_run.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Frame Named(float name) { return Frame{1, 1, 1, {name}}; }

// "accepted", "progress 0 1", "preview 0 1 p7" with the frame's name, "image 0 i7", "completed".
struct Name {
  std::string operator()(const StreamEvent::Accepted&) const { return "accepted"; }
  std::string operator()(const StreamEvent::Progress& p) const {
    return absl::StrCat("progress ", p.image_index, " ", p.steps_done);
  }
  std::string operator()(const StreamEvent::Preview& p) const {
    return absl::StrCat("preview ", p.image_index, " ", p.steps_done, " ", p.frame.data);
  }
  std::string operator()(const StreamEvent::FinalImage& i) const {
    return absl::StrCat("image ", i.image_index, " ", i.frame.data);
  }
  std::string operator()(const StreamEvent::Completed&) const { return "completed"; }
};

class GenerationRunTest : public ::testing::Test {
 protected:
  // Encodes a frame as its name, with an "i" before that of an image and a "p" of a preview.
  GenerationRun::Options Options() {
    GenerationRun::Options options;
    options.images = 2;
    options.image.digest = true;
    options.encode = [this](const Frame& frame,
                            const EncodeOptions& encode) -> absl::StatusOr<EncodedFrame> {
      ++encoded_;
      now_ += absl::Milliseconds(5);
      if (frame.values[0] < 0) return absl::InternalError("disk on fire");
      const std::string data = absl::StrCat(encode.digest ? "i" : "p", frame.values[0]);
      return EncodedFrame{data, 1, 1, encode.digest ? "sha of " + data : ""};
    };
    options.wake = [this] { ++wakes_; };
    options.on_previews_dropped = [this](int count) { dropped_ += count; };
    options.now = [this] { return now_; };
    return options;
  }
  static void ShowPreview(GenerationRun& run, int image, int step, float name) {
    run.OnPreview(image, step, 0, PreviewContent::kX0Hat, Named(name));
  }
  static std::vector<std::string> TakeAll(GenerationRun& run) {
    std::vector<std::string> names;
    while (auto event = run.Next()) names.push_back(std::visit(Name(), event->what));
    return names;
  }

  absl::Time now_ = absl::FromUnixSeconds(1000);
  int encoded_ = 0, wakes_ = 0, dropped_ = 0;
};

TEST_F(GenerationRunTest, GivesEncodedEventsInOrderAndWakesForEach) {
  GenerationRun run(Options());
  EXPECT_THAT(TakeAll(run), ElementsAre("accepted"));
  run.OnProgress({.image_index = 0, .steps_done = 1, .steps_total = 2});
  ShowPreview(run, 0, 1, 7);
  run.OnImage(0, Named(8));
  EXPECT_THAT(TakeAll(run), ElementsAre("progress 0 1", "preview 0 1 p7", "image 0 i8"));
  EXPECT_EQ(wakes_, 3);
  EXPECT_FALSE(run.outcome().has_value());
  run.OnImage(1, Named(9));
  run.OnFinished(absl::OkStatus(), {});
  EXPECT_EQ(run.outcome(), absl::OkStatus());
  EXPECT_THAT(TakeAll(run), ElementsAre("image 1 i9", "completed"));
}

TEST_F(GenerationRunTest, TellsOfProgressOnceInAnIntervalAndOfTheLastStep) {
  GenerationRun::Options options = Options();
  options.progress_interval = absl::Milliseconds(50);
  GenerationRun run(std::move(options));
  EXPECT_THAT(TakeAll(run), ElementsAre("accepted"));
  const auto step = [&](int image, int done) {
    run.OnProgress({.image_index = image, .steps_done = done, .steps_total = 9});
  };
  step(0, 1);
  now_ += absl::Milliseconds(49);
  step(0, 2);
  step(1, 1);  // Each image has its own.
  EXPECT_THAT(TakeAll(run), ElementsAre("progress 0 1", "progress 1 1"));
  EXPECT_EQ(wakes_, 2);
  now_ += absl::Milliseconds(1);
  step(0, 3);
  step(1, 2);
  step(0, 9);
  EXPECT_THAT(TakeAll(run), ElementsAre("progress 0 9"));
  now_ -= absl::Hours(1);  // A clock that is set back silences nothing.
  step(1, 8);
  EXPECT_THAT(TakeAll(run), ElementsAre("progress 1 8"));
  step(1, 9);
  EXPECT_THAT(TakeAll(run), ElementsAre("progress 1 9"));
}

TEST_F(GenerationRunTest, TellsOfNoProgressWhereNobodyHearsOfIt) {
  GenerationRun::Options options = Options();
  options.progress_interval = absl::InfiniteDuration();
  GenerationRun run(std::move(options));
  for (int done = 1; done <= 2; ++done) {
    run.OnProgress({.image_index = 0, .steps_done = done, .steps_total = 2});
  }
  EXPECT_THAT(TakeAll(run), ElementsAre("accepted"));
  EXPECT_EQ(wakes_, 0);
}

TEST_F(GenerationRunTest, CompletedHasDigestsByImageAndTimes) {
  GenerationRun run(Options());
  run.OnImage(1, Named(9));
  run.OnImage(0, Named(8));
  now_ += absl::Seconds(1);
  run.OnFinished(absl::OkStatus(), {.queue = absl::Seconds(3), .compute = absl::Seconds(4)});
  std::optional<StreamEvent> last;
  while (auto event = run.Next()) last = std::move(event);
  const auto& completed = std::get<StreamEvent::Completed>(last->what);
  EXPECT_THAT(completed.sha256, ElementsAre("sha of i8", "sha of i9"));
  EXPECT_EQ(completed.engine.queue, absl::Seconds(3));
  EXPECT_EQ(completed.encode, absl::Milliseconds(10));
  EXPECT_EQ(completed.total, absl::Milliseconds(1010));
}

TEST_F(GenerationRunTest, ASlowClientKeepsOnePreviewOfAnImageAndAllImages) {
  GenerationRun run(Options());
  for (int step = 1; step <= 5; ++step) {
    for (int image = 0; image < 2; ++image) {
      run.OnProgress({.image_index = image, .steps_done = step, .steps_total = 6});
      ShowPreview(run, image, step, static_cast<float>(step));
    }
  }
  run.OnPreviewsDropped(3);  // Before they were encoded.
  run.OnImage(1, Named(6));
  run.OnImage(0, Named(6));
  run.OnFinished(absl::OkStatus(), {});
  EXPECT_THAT(TakeAll(run),
              ElementsAre("accepted", "progress 0 5", "preview 0 5 p5", "progress 1 5",
                          "preview 1 5 p5", "image 1 i6", "image 0 i6", "completed"));
  EXPECT_EQ(dropped_, 2 * 4 + 3);
}

TEST_F(GenerationRunTest, APreviewThatCannotBeEncodedIsLostAndAnImageEndsTheRun) {
  GenerationRun run(Options());
  ShowPreview(run, 0, 1, -1);
  EXPECT_EQ(dropped_, 1);
  EXPECT_FALSE(run.outcome().has_value());
  run.OnImage(1, Named(-1));
  ASSERT_TRUE(run.outcome().has_value());
  EXPECT_EQ(run.outcome()->code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(run.outcome()->message()),
              HasSubstr("image 1 cannot be encoded: disk on fire"));
  const int encoded = encoded_;
  run.OnImage(0, Named(3));
  run.OnFinished(absl::OkStatus(), {});
  EXPECT_EQ(run.outcome()->code(), absl::StatusCode::kInternal) << "the first";
  EXPECT_EQ(encoded_, encoded) << "nobody wants it";
  EXPECT_THAT(TakeAll(run), ElementsAre("accepted"));
}

TEST_F(GenerationRunTest, AnEndThatFailedFollowsWhatWaits) {
  GenerationRun run(Options());
  run.OnImage(0, Named(8));
  run.OnFinished(absl::DeadlineExceededError("late"), {});
  EXPECT_EQ(run.outcome(), absl::DeadlineExceededError("late"));
  EXPECT_THAT(TakeAll(run), ElementsAre("accepted", "image 0 i8"));
}

TEST_F(GenerationRunTest, OnceClosedNothingIsKeptEncodedOrWokenFor) {
  GenerationRun run(Options());
  run.OnImage(0, Named(8));
  run.Close();
  const int encoded = encoded_, wakes = wakes_;
  run.OnProgress({.image_index = 1, .steps_done = 1, .steps_total = 2});
  ShowPreview(run, 1, 1, 7);
  run.OnImage(1, Named(9));
  run.OnFinished(absl::OkStatus(), {});
  EXPECT_THAT(TakeAll(run), IsEmpty());
  EXPECT_EQ(encoded_, encoded);
  EXPECT_EQ(wakes_, wakes);
}

TEST_F(GenerationRunTest, LetsGoOfTheModelWithTheEnginesEndHoweverSlowTheClient) {
  for (const bool closed : {false, true}) {
    const auto model = std::make_shared<int>(1);
    GenerationRun::Options options = Options();
    options.hold = model;
    GenerationRun run(std::move(options));
    EXPECT_EQ(model.use_count(), 2);
    if (closed) run.Close();
    EXPECT_EQ(model.use_count(), 2) << "the engine may still be at it";
    run.OnFinished(absl::OkStatus(), {});
    EXPECT_EQ(model.use_count(), 1);
  }
}

}  // namespace
}  // namespace diffusiond
