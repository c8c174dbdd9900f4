#include "server/access/identity_quotas.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/status/status_macros.h"
#include "server/engine/refusal.h"
#include "tests/testing/fake_clock.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

class IdentityQuotasTest : public ::testing::Test {
 protected:
  IdentityQuotasTest() { web_.name = "web"; }

  // Of a request that is admitted.
  absl::StatusOr<IdentityQuotas::Hold> Spend(int images) {
    ASSIGN_OR_RETURN(IdentityQuotas::Taken taken, quotas_.Take(web_, images));
    taken.charge->Keep();
    return taken.hold;
  }

  FakeClock clock_;
  IdentityQuotas quotas_{clock_.AsFunction()};
  AccessIdentity web_;
};

TEST_F(IdentityQuotasTest, RequestsInFlightAreThoseNotLetGo) {
  web_.limits.requests_in_flight = 2;
  absl::StatusOr<IdentityQuotas::Taken> first = quotas_.Take(web_, 5);
  const auto second = quotas_.Take(web_, 5);
  const absl::Status refused = quotas_.Take(web_, 1).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RefusalReasonOf(refused), RefusalReason::kIdentityLimit);
  EXPECT_TRUE(RetryAfter(refused).has_value());
  EXPECT_THAT(std::string(refused.message()), HasSubstr("'web' may have 2 requests in flight"));
  first->hold.reset();
  EXPECT_TRUE(quotas_.Take(web_, 1).ok());
}

TEST_F(IdentityQuotasTest, ImagesWaitingAreThoseOfAllItsRequests) {
  web_.limits.images_waiting = 8;
  const auto first = quotas_.Take(web_, 5);
  EXPECT_EQ(RefusalReasonOf(quotas_.Take(web_, 4).status()), RefusalReason::kIdentityLimit);
  EXPECT_TRUE(quotas_.Take(web_, 3).ok());
}

TEST_F(IdentityQuotasTest, TheMinutesImagesComeBackEvenly) {
  web_.limits.images_per_minute = 60;
  ASSERT_TRUE(Spend(60).ok());
  EXPECT_THAT(RetryAfter(Spend(3).status()), Optional(absl::Seconds(3)))
      << "though none is in flight";
  clock_.Advance(absl::Seconds(2));
  EXPECT_THAT(RetryAfter(Spend(3).status()), Optional(absl::Seconds(1)));
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(Spend(3).ok());
  clock_.Advance(absl::Hours(1));
  EXPECT_TRUE(Spend(60).ok());
  EXPECT_FALSE(Spend(1).ok()) << "an hour of rest is worth no more than a minute";
}

TEST_F(IdentityQuotasTest, WhatIsNotAdmittedSpendsNothingOfTheMinute) {
  web_.limits.images_per_minute = 60;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(quotas_.Take(web_, 60).ok());
  EXPECT_TRUE(Spend(60).ok());
  EXPECT_FALSE(quotas_.Take(web_, 1).ok());
}

TEST_F(IdentityQuotasTest, ALoweredLimitIsWaitedForNoLongerThanAMinute) {
  web_.limits.images_per_minute = 6000;
  ASSERT_TRUE(Spend(6000).ok());
  web_.limits.images_per_minute = 60;
  EXPECT_THAT(RetryAfter(Spend(1).status()), Optional(absl::Seconds(1)));
  clock_.Advance(absl::Minutes(1));
  EXPECT_TRUE(Spend(60).ok());
}

TEST_F(IdentityQuotasTest, WhatWouldNeverFitIsNotWorthAskingAgain) {
  web_.limits.images_waiting = 4;
  const absl::Status refused = quotas_.Take(web_, 5).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RetryAfter(refused), std::nullopt);
  EXPECT_TRUE(quotas_.Take(web_, 4).ok()) << "a refused request has taken nothing";
}

TEST_F(IdentityQuotasTest, ARefusedRequestSpendsNothing) {
  web_.limits = {.requests_in_flight = 1, .images_waiting = {}, .images_per_minute = 10};
  auto held = quotas_.Take(web_, 1);
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(quotas_.Take(web_, 1).ok());
  held->hold.reset();
  EXPECT_TRUE(quotas_.Take(web_, 9).ok());
}

TEST_F(IdentityQuotasTest, OneIdentityTakesNothingFromAnother) {
  web_.limits.images_waiting = 1;
  AccessIdentity other = web_;
  other.name = "other";
  const auto held = quotas_.Take(web_, 1);
  EXPECT_TRUE(quotas_.Take(other, 1).ok());
}

TEST_F(IdentityQuotasTest, HoldsOutliveIt) {
  auto quotas = std::make_unique<IdentityQuotas>(clock_.AsFunction());
  auto held = quotas->Take(web_, 1);
  quotas.reset();
  held->hold.reset();
}

// Names come and go with the access file; those with something in flight keep their count.
TEST_F(IdentityQuotasTest, WhoHasNothingIsForgottenInTime) {
  web_.limits.images_waiting = 1;
  const auto held = quotas_.Take(web_, 1);
  for (size_t i = 0; i < 3 * AccessList::kMaxIdentities; ++i) {
    AccessIdentity one;
    one.name = absl::StrCat("one of many ", i);
    EXPECT_TRUE(quotas_.Take(one, 1).ok());
  }
  EXPECT_LE(quotas_.known(), 2 * AccessList::kMaxIdentities);
  EXPECT_FALSE(quotas_.Take(web_, 1).ok());
}

}  // namespace
}  // namespace diffusiond
