#include "model/cpu_network/arena.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace diffusiond {
namespace {

TEST(ArenaPlanTest, WhatIsHeldDoesNotOverlap) {
  ArenaPlan plan;
  std::vector<Slot> held;
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    if (!held.empty() && random() % 2 == 0) {
      const size_t index = random() % held.size();
      plan.Release(held[index]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(index));
      continue;
    }
    const Slot slot = plan.Take(1 + random() % 8, 1 + random() % 8, 1 + random() % 70);
    for (const Slot& other : held) {
      ASSERT_TRUE(slot.offset >= other.offset + other.floats() ||
                  other.offset >= slot.offset + slot.floats());
    }
    ASSERT_LE(slot.offset + slot.floats(), plan.floats());
    held.push_back(slot);
  }
}

TEST(ArenaPlanTest, PlaceThatIsReleasedIsTakenAgain) {
  ArenaPlan plan;
  const Slot first = plan.Take(4, 4, 16), second = plan.Take(4, 4, 16);
  plan.Release(first);
  EXPECT_EQ(plan.Take(4, 2, 16).offset, first.offset);
  EXPECT_EQ(plan.Take(4, 2, 16).offset, first.offset + 128);
  EXPECT_EQ(plan.floats(), second.offset + second.floats());
}

TEST(ArenaPlanTest, HeldTwiceIsReleasedTwice) {
  ArenaPlan plan;
  const Slot slot = plan.Take(1, 1, 16);
  plan.Hold(slot);
  plan.Release(slot);
  EXPECT_NE(plan.Take(1, 1, 16).offset, slot.offset);
  plan.Release(slot);
  EXPECT_EQ(plan.Take(1, 1, 16).offset, slot.offset);
}

}  // namespace
}  // namespace diffusiond
