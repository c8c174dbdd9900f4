#include "server/connections/connection_rate.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using Verdict = ConnectionRate::Verdict;

class ConnectionRateTest : public ::testing::Test {
 protected:
  // How many of these in a row are taken.
  int Taken(const std::string& address, int tries) {
    int taken = 0;
    for (int i = 0; i < tries; ++i) taken += rate_.Take(address) == Verdict::kTaken ? 1 : 0;
    return taken;
  }

  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  ConnectionRate rate_{{.total = 10, .per_address = 3}, [this] { return now_; }};
};

TEST_F(ConnectionRateTest, AfterAPauseABurstIsTakenAndThenSoManyASecond) {
  EXPECT_EQ(Taken("a", 100), 6);
  EXPECT_EQ(rate_.Take("a"), Verdict::kTooManyOfAddress);
  now_ += absl::Seconds(1);
  EXPECT_EQ(Taken("a", 100), 3);
  now_ += absl::Milliseconds(340);
  EXPECT_EQ(Taken("a", 100), 1);
  now_ += absl::Hours(1);
  EXPECT_EQ(Taken("a", 100), 6);
}

TEST_F(ConnectionRateTest, WhatOneAddressIsRefusedTakesNothingFromOthers) {
  EXPECT_EQ(Taken("a", 1000), 6);
  EXPECT_EQ(Taken("b", 100), 6);
}

TEST_F(ConnectionRateTest, AllTogetherHaveALimitToo) {
  for (const char* address : {"a", "b", "c"}) EXPECT_EQ(Taken(address, 6), 6);
  EXPECT_EQ(Taken("d", 2), 2);
  EXPECT_EQ(rate_.Take("e"), Verdict::kTooMany);
  now_ += absl::Seconds(1);
  EXPECT_EQ(Taken("e", 6), 6);
}

TEST_F(ConnectionRateTest, AClockThatIsPutBackLocksNobodyOut) {
  EXPECT_EQ(Taken("a", 100), 6);
  now_ -= absl::Minutes(30);
  Taken("a", 100);
  now_ += absl::Seconds(1);
  EXPECT_EQ(Taken("a", 100), 3);
}

// A flood from many addresses (IPv6: networks) does not fill the memory.
TEST_F(ConnectionRateTest, KnowsNoMoreAddressesThanCouldComeLately) {
  for (int i = 0; i < 100'000; ++i) {
    rate_.Take(absl::StrCat("address", i));
    now_ += absl::Milliseconds(1);
    ASSERT_LE(rate_.addresses(), 10u * 2 + 10u * 4 + 1);
  }
}

// The default: what a hundred browsers behind one address do when they all start.
TEST(ConnectionRateByDefault, LetsAHundredBrowsersOfOneAddressIn) {
  ConnectionRate rate({}, [] { return absl::UnixEpoch(); });
  for (int i = 0; i < 256; ++i) EXPECT_EQ(rate.Take("ipv4:192.0.2.1"), Verdict::kTaken);
}

}  // namespace
}  // namespace diffusiond
