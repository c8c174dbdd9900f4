#include "client/generate_display.h"

#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "client/picture_codec.h"
#include "client/progress_meter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_diffusion_service.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A stream shown by a display whose clock moves on by `tick` at each event.
class DisplayedStream {
 public:
  DisplayedStream(Terminal terminal, absl::Duration tick) : terminal_(terminal), tick_(tick) {}

  DisplayOptions Options() {
    return {.out = &out_,
            .terminal = [this] { return terminal_; },
            .now = [this] { return now_; },
            .expect_x_t = true,
            .expect_x0_hat = true};
  }

  void Show(GenerateDisplay& display, const std::vector<v1::GenerateEvent>& events) {
    for (const v1::GenerateEvent& event : events) {
      now_ += tick_;
      if (event.has_accepted()) display.OnAccepted(event.accepted());
      if (event.has_progress()) display.OnProgress(event.progress());
      if (event.has_preview()) {
        display.OnPreview(event.preview(), DecodePicture(event.preview()).value());
      }
      if (event.has_image()) display.OnImage(event.image(), DecodePicture(event.image()).value());
    }
  }

  std::string text() const { return out_.str(); }
  void Clear() { out_.str(""); }

 private:
  std::ostringstream out_;
  const Terminal terminal_;
  const absl::Duration tick_;
  absl::Time now_ = absl::UnixEpoch();
};

std::vector<v1::GenerateEvent> WithoutPreviews(std::vector<v1::GenerateEvent> events) {
  std::erase_if(events, [](const v1::GenerateEvent& event) { return event.has_preview(); });
  return events;
}

TEST(PlainDisplayTest, PrintsALineEveryTenPercentWithoutEscapeCodes) {
  DisplayedStream stream({}, absl::Seconds(1));
  const auto display = MakePlainDisplay(stream.Options());
  stream.Show(*display, WithoutPreviews(TinyStream(1, 40)));
  display->OnEnd(true);
  const std::vector<std::string> lines = absl::StrSplit(stream.text(), '\n');
  ASSERT_EQ(lines.size(), 12u) << stream.text();
  EXPECT_EQ(lines[0], "tiny, T-shirt/top, 1 image 4x4, ddim 40 steps, guidance 2, seed 7");
  EXPECT_EQ(lines[1], " 10 %  step 4 of 40, 1.0 steps/s, 36 s left");
  EXPECT_EQ(lines[10], "100 %  step 40 of 40, 1.0 steps/s");
  EXPECT_EQ(lines[11], "");
  EXPECT_THAT(stream.text(), Not(HasSubstr("\x1b")));
}

TEST(PlainDisplayTest, PrintsNoMoreLinesThanStepsOfAShortRun) {
  DisplayedStream stream({}, absl::Seconds(1));
  const auto display = MakePlainDisplay(stream.Options());
  stream.Show(*display, WithoutPreviews(TinyStream(1, 2)));
  const std::vector<std::string> lines = absl::StrSplit(stream.text(), '\n');
  EXPECT_THAT(lines, ElementsAre(StartsWith("tiny"), StartsWith(" 50 %"), StartsWith("100 %"), ""));
}

constexpr Terminal kTerminal{
    .interactive = true, .columns = 80, .rows = 24, .color = ColorMode::kTrueColor};

TEST(LiveDisplayTest, HidesTheCursorOnceAndGivesItBackAtTheEnd) {
  DisplayedStream stream(kTerminal, absl::Seconds(1));
  const auto display = MakeLiveDisplay(stream.Options());
  stream.Show(*display, TinyStream(2, 3));
  EXPECT_THAT(stream.text(), StartsWith("\x1b[?25l"));
  EXPECT_THAT(stream.text(), Not(HasSubstr(kRestoreTerminal)));
  display->OnEnd(true);
  EXPECT_THAT(stream.text(), EndsWith(kRestoreTerminal));
  const std::vector<std::string> parts = absl::StrSplit(stream.text(), "\x1b[?25l");
  EXPECT_EQ(parts.size(), 2u);
}

TEST(LiveDisplayTest, GivesTheCursorBackWhenDestroyedInTheMiddle) {
  DisplayedStream stream(kTerminal, absl::Seconds(1));
  auto display = MakeLiveDisplay(stream.Options());
  auto events = TinyStream(2, 3);
  events.resize(5);
  stream.Show(*display, events);
  display.reset();
  EXPECT_THAT(stream.text(), EndsWith(kRestoreTerminal));
}

TEST(LiveDisplayTest, WritesNothingBeforeTheRequestIsAccepted) {
  DisplayedStream stream(kTerminal, absl::Seconds(1));
  MakeLiveDisplay(stream.Options())->OnEnd(false);
  EXPECT_EQ(stream.text(), "");
}

TEST(LiveDisplayTest, RedrawsInPlaceOverAsManyLinesAsItDrew) {
  DisplayedStream stream(kTerminal, absl::Seconds(1));
  const auto display = MakeLiveDisplay(stream.Options());
  auto events = TinyStream(1, 3);
  stream.Show(*display, {events[0]});
  const std::vector<std::string> first = absl::StrSplit(stream.text(), "\r\n");
  stream.Clear();
  stream.Show(*display, {events[1]});
  EXPECT_THAT(stream.text(), StartsWith("\x1b[" + std::to_string(first.size() - 1) + "A\r"));
}

TEST(LiveDisplayTest, NeverDrawsMoreLinesThanTheTerminalHas) {
  for (const int rows : {10, 24, 60}) {
    for (const uint32_t count : {1u, 4u, 64u}) {
      Terminal terminal = kTerminal;
      terminal.rows = rows;
      DisplayedStream stream(terminal, absl::Seconds(1));
      const auto display = MakeLiveDisplay(stream.Options());
      stream.Show(*display, {TinyStream(count, 1)[0]});
      const std::vector<std::string> lines = absl::StrSplit(stream.text(), "\r\n");
      EXPECT_LE(static_cast<int>(lines.size()), rows) << count << " images";
    }
  }
}

// The line of the last frame in which a grey level stands, or -1. x_t of the first image has the
// grey level 50, x0-hat 10.
struct PreviewLines {
  int x_t = -1;
  int x0_hat = -1;
};

PreviewLines ShowFirstPreviews(uint32_t count, Terminal terminal) {
  DisplayedStream stream(terminal, absl::Seconds(1));
  const auto display = MakeLiveDisplay(stream.Options());
  auto events = TinyStream(count, 5);
  events.resize(4);  // Accepted, progress, x_t, x0_hat of the first step.
  events[2].mutable_preview()->set_data(TinyStream(1, 5)[2 + 3 * 4].preview().data());
  stream.Show(*display, {events[0], events[1], events[2]});
  stream.Clear();
  stream.Show(*display, {events[3]});
  EXPECT_THAT(stream.text(), HasSubstr("at t = 4"));
  PreviewLines found;
  const std::vector<std::string> lines = absl::StrSplit(stream.text(), '\n');
  for (size_t i = lines.size(); i-- > 0;) {
    if (absl::StrContains(lines[i], "38;2;50;50;50")) found.x_t = static_cast<int>(i);
    if (absl::StrContains(lines[i], "38;2;10;10;10")) found.x0_hat = static_cast<int>(i);
  }
  return found;
}

TEST(LiveDisplayTest, ShowsXtAboveX0Hat) {
  const PreviewLines lines = ShowFirstPreviews(2, kTerminal);
  ASSERT_GE(lines.x_t, 0);
  EXPECT_LT(lines.x_t, lines.x0_hat);
}

TEST(LiveDisplayTest, ShowsXtBesideX0HatOfASingleImage) {
  const PreviewLines lines = ShowFirstPreviews(1, kTerminal);
  ASSERT_GE(lines.x_t, 0);
  EXPECT_EQ(lines.x_t, lines.x0_hat);
}

TEST(LiveDisplayTest, ShowsX0HatAloneWhereBothWouldHideImages) {
  Terminal small = kTerminal;
  small.rows = 10;
  const PreviewLines lines = ShowFirstPreviews(64, small);
  EXPECT_EQ(lines.x_t, -1);
  EXPECT_GE(lines.x0_hat, 0);
}

TEST(LiveDisplayTest, DrawsNoFasterThanAnEyeCanFollow) {
  DisplayedStream stream(kTerminal, absl::Milliseconds(1));
  const auto display = MakeLiveDisplay(stream.Options());
  auto events = TinyStream(1, 33);  // 100 events of 1 ms and Accepted's.
  stream.Show(*display, {events.begin(), events.begin() + 100});
  const std::vector<std::string> frames = absl::StrSplit(stream.text(), "\x1b[J");
  EXPECT_EQ(frames.size() - 1, 2u);
}

TEST(LiveDisplayTest, EndsWithTheFinishedPicturesAndNoBar) {
  DisplayedStream stream(kTerminal, absl::Seconds(1));
  const auto display = MakeLiveDisplay(stream.Options());
  stream.Show(*display, TinyStream(2, 3));
  stream.Clear();
  display->OnEnd(true);
  EXPECT_THAT(stream.text(), HasSubstr("38;2;200;200;200"));
  EXPECT_THAT(stream.text(), HasSubstr("38;2;201;201;201"));
  EXPECT_THAT(stream.text(), Not(HasSubstr("step 3 of 3")));
}

TEST(LiveDisplayTest, UsesNoColorWhereThereIsNone) {
  Terminal terminal = kTerminal;
  terminal.color = ColorMode::kNone;
  DisplayedStream stream(terminal, absl::Seconds(1));
  const auto display = MakeLiveDisplay(stream.Options());
  stream.Show(*display, TinyStream(1, 3));
  display->OnEnd(true);
  EXPECT_THAT(stream.text(), Not(HasSubstr("\x1b[38")));
  EXPECT_THAT(stream.text(), Not(HasSubstr("\x1b[1m")));
}

TEST(ProgressMeterTest, CountsStepsOfTheAverageImage) {
  ProgressMeter meter(2, 10);
  const absl::Time start = absl::UnixEpoch();
  meter.Update(0, 2, 10, start);
  EXPECT_EQ(meter.StepsPerSecond(), std::nullopt);
  EXPECT_DOUBLE_EQ(meter.fraction(), 0.1);
  meter.Update(1, 4, 10, start + absl::Seconds(1));
  EXPECT_EQ(meter.steps_done(), 3u);
  EXPECT_EQ(meter.StepsPerSecond(), 2.0);
  EXPECT_EQ(meter.TimeLeft(), absl::Seconds(3.5));
}

TEST(ProgressMeterTest, ImagesOfOneBatchAreNoSpeed) {
  ProgressMeter meter(2, 10);
  const absl::Time start = absl::UnixEpoch();
  meter.Update(0, 1, 10, start);
  meter.Update(1, 1, 10, start + absl::Microseconds(100));
  EXPECT_EQ(meter.StepsPerSecond(), std::nullopt);
  meter.Update(0, 2, 10, start + absl::Seconds(1));
  meter.Update(1, 2, 10, start + absl::Seconds(1));
  EXPECT_EQ(meter.StepsPerSecond(), 1.0);
}

TEST(FormatTest, SpansAndRatesAreShort) {
  EXPECT_EQ(FormatSpan(absl::Milliseconds(440)), "0.4 s");
  EXPECT_EQ(FormatSpan(absl::Seconds(9.96)), "10 s");
  EXPECT_EQ(FormatSpan(absl::Seconds(200)), "3 min 20 s");
  EXPECT_EQ(FormatSpan(absl::Minutes(125)), "2 h 5 min");
  EXPECT_EQ(FormatRate(0.523), "0.52");
  EXPECT_EQ(FormatRate(12.44), "12.4");
  EXPECT_EQ(FormatRate(318.2), "318");
}

}  // namespace
}  // namespace diffusiond
