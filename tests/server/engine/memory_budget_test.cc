#include "server/engine/memory_budget.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/refusal.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

TEST(MemoryBudget, OneHolderAloneHasThreeQuarters) {
  MemoryBudget budget(400);
  std::vector<MemoryBudget::Hold> holds;
  for (int i = 0; i < 30; ++i) {
    const auto hold = budget.Take("a", 10);
    ASSERT_TRUE(hold.ok()) << i << hold.status();
    holds.push_back(*hold);
  }
  const absl::Status refused = budget.Take("a", 10).status();
  EXPECT_EQ(RefusalReasonOf(refused), RefusalReason::kMemory);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("hold 300 of 400 bytes (--max_waiting_bytes), those of this address 300: "
                        "no room for 10 more"));
  EXPECT_TRUE(budget.Take("b", 70).ok()) << "there is something for others";
}

TEST(MemoryBudget, ManyHoldersLeaveSomethingForOneMore) {
  MemoryBudget budget(1 << 20);
  std::vector<MemoryBudget::Hold> holds;
  for (int holder = 0; holder < 50; ++holder) {
    const std::string name = absl::StrCat(holder);
    int taken = 0;
    for (auto hold = budget.Take(name, 64); hold.ok(); hold = budget.Take(name, 64)) {
      holds.push_back(*hold);
      ++taken;
    }
    EXPECT_TRUE(taken > 0 || holder >= 6) << holder;
  }
  holds.erase(holds.begin());
  EXPECT_TRUE(budget.Take("another", 1).ok());
}

TEST(MemoryBudget, BytesComeBackWithTheLastCopyAlsoAfterItsEnd) {
  auto budget = std::make_unique<MemoryBudget>(400);
  auto hold = *budget->Take("a", 300);
  MemoryBudget::Hold copy = hold;
  hold = nullptr;
  EXPECT_FALSE(budget->Take("a", 300).ok());
  copy = nullptr;
  hold = *budget->Take("a", 300);
  budget = nullptr;
  hold = nullptr;
}

TEST(MemoryBudget, WhatCanNeverBeHeldIsNotAskedAgain) {
  MemoryBudget budget(400);
  const absl::Status refused = budget.Take("a", 301).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("takes 301 bytes while it waits, allowed"));
  EXPECT_EQ(*budget.Take("a", 0), nullptr);
}

}  // namespace
}  // namespace diffusiond
