#include "server/tracing/trace_context.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/tracing/tracer.h"

namespace diffusiond {
namespace {

using ::testing::MatchesRegex;

// The example of the recommendation.
constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr char kParent[] = "00f067aa0ba902b7";
const std::string kHeader = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceparentTest, IsReadAsTheRecommendationSays) {
  const auto parsed = ParseTraceparent(kHeader);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->trace_id, kTrace);
  EXPECT_EQ(parsed->parent_id, kParent);
  EXPECT_TRUE(parsed->sampled);
}

TEST(TraceparentTest, SampledIsTheLowestBit) {
  for (int flags = 0; flags < 256; ++flags) {
    char text[3];
    snprintf(text, sizeof(text), "%02x", flags);
    const auto parsed = ParseTraceparent(kHeader.substr(0, 53) + text);
    ASSERT_TRUE(parsed.has_value()) << text;
    EXPECT_EQ(parsed->sampled, flags % 2 == 1) << text;
  }
}

TEST(TraceparentTest, LaterVersionsMayBeLonger) {
  const std::string later = "cc" + kHeader.substr(2);
  EXPECT_TRUE(ParseTraceparent(later).has_value());
  EXPECT_TRUE(ParseTraceparent(later + "-what-the-future-will-be-like").has_value());
  EXPECT_FALSE(ParseTraceparent(later + ".what").has_value());
  EXPECT_FALSE(ParseTraceparent(kHeader + "-more").has_value());
}

TEST(TraceparentTest, WhatIsNoneIsNone) {
  // Any one character that does not belong where it stands.
  for (size_t at = 0; at < kHeader.size(); ++at) {
    for (const char wrong : {'g', 'A', ' ', '\0', '_', '\xff'}) {
      std::string header = kHeader;
      header[at] = wrong;
      EXPECT_FALSE(ParseTraceparent(header).has_value()) << header;
    }
    EXPECT_FALSE(ParseTraceparent(kHeader.substr(0, at)).has_value());
  }
  EXPECT_FALSE(ParseTraceparent("ff" + kHeader.substr(2)).has_value());
  EXPECT_FALSE(ParseTraceparent("00-" + std::string(32, '0') + kHeader.substr(35)).has_value());
  EXPECT_FALSE(ParseTraceparent(kHeader.substr(0, 36) + std::string(16, '0') + "-01").has_value());
}

TEST(TracestateTest, IsHandedOnAsTheRecommendationSays) {
  std::string most = "k0=v";
  for (int i = 1; i < 32; ++i) absl::StrAppend(&most, ",k", i, "=v");
  const std::string longest =
      absl::StrCat("a=", std::string(256, 'v'), ",b=", std::string(251, 'v'));
  ASSERT_EQ(longest.size(), kMaxTracestateBytes);
  std::vector<std::string> good = {"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
                                   "a=1",
                                   "a= b !#$%&'()*+-./:;<>?@[]^_`{|}~\"\\",
                                   "a_-*/=1",
                                   "fw529a3039@dt=FfJhOTA",
                                   "0a@b=1",
                                   "a=1,,b=2, ,",
                                   " a=1 \t,\tb=2 "};
  good.push_back(absl::StrCat(std::string(256, 'k'), "=v"));
  good.push_back(most);
  good.push_back(longest);
  for (const std::string& state : good) EXPECT_TRUE(IsTracestate(state)) << state;

  std::vector<std::string> bad = {
      "",     ",",    "a",     "a=",      "=1",     "a=  ",   "A=1",    "a b=1",      "a =1",
      "@a=1", "_a=1", "a=1=2", "a=1,a=2", "a=\x7f", "a=\x01", "a=b\tc", "a=\xc3\xa4", "a=1;b=2,c"};
  bad.push_back(absl::StrCat(std::string(257, 'k'), "=v"));
  bad.push_back(absl::StrCat("a=", std::string(257, 'v')));
  bad.push_back(absl::StrCat(most, ",last=v"));
  bad.push_back(absl::StrCat(longest, "v"));
  bad.push_back(absl::StrCat(longest, " "));
  for (const std::string& state : bad) EXPECT_FALSE(IsTracestate(state)) << state;
}

class TracerTest : public ::testing::Test {
 protected:
  Tracer Make(double ratio, bool with_sink = true) {
    Tracer::Options options{.ratio = ratio};
    if (with_sink) options.sink = [](std::vector<Span>) {};
    return Tracer(options, [this] { return random_(); });
  }

  std::mt19937_64 random_{7};
};

TEST_F(TracerTest, GoesOnWithItsCallersTraceAndRecordsIfHeDoes) {
  const TraceContext recorded = Make(0).Begin(kHeader);
  EXPECT_EQ(recorded.trace_id, kTrace);
  EXPECT_EQ(recorded.parent_id, kParent);
  EXPECT_THAT(recorded.span_id, MatchesRegex("[0-9a-f]{16}"));
  const TraceContext not_recorded = Make(1).Begin(kHeader.substr(0, 53) + "00");
  EXPECT_EQ(not_recorded.trace_id, kTrace);
  EXPECT_FALSE(not_recorded.is_recorded());
}

TEST_F(TracerTest, HandsOnWhatOthersSayOfATraceThatIsRecorded) {
  const std::string state = "rojo=1, congo=2";
  const Tracer tracer = Make(1);
  EXPECT_EQ(tracer.Begin(kHeader, state).trace_state, state);
  EXPECT_EQ(tracer.Begin(kHeader, "Rojo=1").trace_state, "");
  EXPECT_EQ(tracer.Begin(kHeader.substr(0, 53) + "00", state).trace_state, "");
  // Without a traceparent it is of no trace.
  EXPECT_EQ(tracer.Begin("", state).trace_state, "");
  EXPECT_EQ(tracer.Begin("nonsense", state).trace_state, "");
}

TEST_F(TracerTest, BeginsATraceForItsShareOfTheOthers) {
  const TraceContext begun = Make(1).Begin("");
  EXPECT_THAT(begun.trace_id, MatchesRegex("[0-9a-f]{32}"));
  EXPECT_EQ(begun.parent_id, "");
  EXPECT_TRUE(begun.is_recorded());
  EXPECT_EQ(Make(0).Begin("nonsense").trace_id, "");
  const Tracer some = Make(0.25);
  int recorded = 0;
  for (int i = 0; i < 4000; ++i) recorded += some.Begin("").is_recorded() ? 1 : 0;
  EXPECT_NEAR(recorded, 1000, 100);
}

TEST_F(TracerTest, WithoutACollectorOnlyTheCallersIdIsKept) {
  const Tracer tracer = Make(1, /*with_sink=*/false);
  EXPECT_EQ(tracer.Begin("").trace_id, "");
  EXPECT_EQ(tracer.Begin(kHeader).trace_id, kTrace);
  EXPECT_FALSE(tracer.Begin(kHeader).is_recorded());
  EXPECT_EQ(tracer.every_steps(), 0);
}

}  // namespace
}  // namespace diffusiond
