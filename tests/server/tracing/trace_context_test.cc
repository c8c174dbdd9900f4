#include "server/tracing/trace_context.h"

#include <random>
#include <string>

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
