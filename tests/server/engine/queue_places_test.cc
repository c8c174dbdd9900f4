#include "server/engine/queue_places.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using Whose = Holder::Whose;

GenerationSpec Of(const std::string& address, const std::string& tenant, int count,
                  Priority priority = Priority::kNormal) {
  GenerationSpec spec;
  spec.address = address;
  spec.tenant = tenant;
  spec.priority = priority;
  spec.trajectories.resize(static_cast<size_t>(count));
  return spec;
}

// Takes places, `spec`'s at a time, until there is no room for it; what was lacking then.
QueuePlaces::Lack Fill(QueuePlaces& places, const GenerationSpec& spec) {
  std::optional<QueuePlaces::Lack> lack;
  while (!(lack = places.Check(spec)).has_value()) places.Take(spec);
  return *lack;
}

constexpr QueuePlaces::Limits kShared = {.places = 1040, .share = 0.75, .high_share = 0.5};

TEST(QueuePlaces, AreAllForAnybodyWhereSharesAreWhole) {
  QueuePlaces places({.places = 10});
  const QueuePlaces::Lack lack = Fill(places, Of("a", "x", 3));
  EXPECT_EQ(lack.whose, Whose::kAll);
  EXPECT_EQ(lack.held, 9);
  EXPECT_EQ(lack.free, 1);
  EXPECT_EQ(lack.needed, 2);
}

TEST(QueuePlaces, OfALoneTenantAreMostOfThem) {
  QueuePlaces places(kShared);
  const QueuePlaces::Lack lack = Fill(places, Of("a", "x", 1));
  EXPECT_EQ(lack.whose, Whose::kTenant);
  EXPECT_EQ(lack.held, 1040 * 9 / 13);
  EXPECT_EQ(lack.needed, 1);
}

TEST(QueuePlaces, OfAnAddressAreBoundedHoweverManyTenantsItNames) {
  QueuePlaces places(kShared);
  for (int i = 0; i < 2000; ++i) Fill(places, Of("a", absl::StrCat("tenant ", i), 1));
  EXPECT_EQ(places.held(), 1040 * 3 / 4);
  EXPECT_EQ(places.Check(Of("a", "another", 1))->whose, Whose::kAddress);
  EXPECT_FALSE(places.Check(Of("b", "another", 260)).has_value());
}

TEST(QueuePlaces, AreThereForANewcomerBesideManyGreedyAddresses) {
  QueuePlaces places(kShared);
  for (int round = 0; round < 1000; ++round) {
    for (int i = 0; i < 10; ++i) {
      const GenerationSpec one = Of(absl::StrCat("address ", i), "x", 1);
      if (!places.Check(one).has_value()) places.Take(one);
    }
  }
  // Nine quarters of what is free for each of the ten.
  EXPECT_NEAR(places.held(), 1040 * 22.5 / 23.5, 10);
  EXPECT_FALSE(places.Check(Of("newcomer", "x", 40)).has_value());
}

TEST(QueuePlaces, OfOneTenantLeaveRoomForAnotherOfItsAddress) {
  QueuePlaces places(kShared);
  Fill(places, Of("a", "x", 1));
  EXPECT_FALSE(places.Check(Of("a", "y", 60)).has_value());
}

TEST(QueuePlaces, OfARequestThatHoldsNothingMayBeAll) {
  QueuePlaces places(kShared);
  EXPECT_FALSE(places.Check(Of("a", "x", 1040, Priority::kHigh)).has_value());
}

TEST(QueuePlaces, OfClassHighLeaveRoomForTheOthers) {
  QueuePlaces places(kShared);
  for (int i = 0; i < 2000; ++i) Fill(places, Of(absl::StrCat(i), "x", 1, Priority::kHigh));
  EXPECT_EQ(places.held(), 1040 / 2);
  EXPECT_EQ(places.Check(Of("a", "x", 1, Priority::kHigh))->whose, Whose::kHigh);
  EXPECT_FALSE(places.Check(Of("a", "x", 520)).has_value());
}

TEST(QueuePlaces, AreFreeAgainOnceReleased) {
  QueuePlaces places(kShared);
  const GenerationSpec spec = Of("a", "x", 64, Priority::kHigh);
  const QueuePlaces::Lack lack = Fill(places, spec);
  EXPECT_GT(lack.needed, 0);
  EXPECT_LE(lack.needed, 64);
  places.Release(spec, lack.needed - 1);
  EXPECT_TRUE(places.Check(spec).has_value());
  places.Release(spec, 1);
  EXPECT_FALSE(places.Check(spec).has_value());
  places.Release(spec, places.held());
  EXPECT_FALSE(places.Check(Of("a", "x", 1040, Priority::kHigh)).has_value());
}

}  // namespace
}  // namespace diffusiond
