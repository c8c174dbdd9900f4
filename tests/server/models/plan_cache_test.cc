#include "server/models/plan_cache.h"

#include "gtest/gtest.h"

namespace diffusiond {
namespace {

SamplingOptions Steps(int steps) {
  SamplingOptions options;
  options.steps = steps;
  return options;
}

class PlanCacheTest : public ::testing::Test {
 protected:
  PlanCacheTest()
      : cache_(
            [this](const SamplingOptions& options) -> absl::StatusOr<SamplingPlan> {
              ++compilations_;
              if (options.steps == 0) return absl::InvalidArgumentError("no steps");
              SamplingPlan plan;
              plan.steps = static_cast<int>(options.steps);
              return plan;
            },
            /*capacity=*/2) {}

  int compilations_ = 0;
  PlanCache cache_;
};

TEST_F(PlanCacheTest, EqualOptionsShareOnePlan) {
  const auto first = cache_.Get(Steps(5));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ((*first)->steps, 5);
  EXPECT_EQ(*cache_.Get(Steps(5)), *first);
  EXPECT_EQ(compilations_, 1);
}

TEST_F(PlanCacheTest, EveryOptionCounts) {
  const auto plan = *cache_.Get(Steps(5));
  const auto differs = [&](auto change) {
    SamplingOptions options = Steps(5);
    change(options);
    return *cache_.Get(options) != plan;
  };
  EXPECT_TRUE(differs([](SamplingOptions& o) { o.sampler = "ddim"; }));
  EXPECT_TRUE(differs([](SamplingOptions& o) { o.eta = 0.5; }));
  EXPECT_TRUE(differs([](SamplingOptions& o) { o.variance = Variance::kZero; }));
  EXPECT_TRUE(differs([](SamplingOptions& o) { o.timestep_spacing = TimestepSpacing::kTrailing; }));
  EXPECT_TRUE(differs([](SamplingOptions& o) { o.clip_sample = false; }));
}

TEST_F(PlanCacheTest, ThePlanNotAskedForTheLongestGoesFirst) {
  (void)cache_.Get(Steps(1));
  const auto evicted = *cache_.Get(Steps(2));
  (void)cache_.Get(Steps(1));
  (void)cache_.Get(Steps(3));
  EXPECT_EQ(compilations_, 3);
  (void)cache_.Get(Steps(1));
  EXPECT_EQ(compilations_, 3);
  EXPECT_NE(*cache_.Get(Steps(2)), evicted);
  EXPECT_EQ(compilations_, 4);
  EXPECT_EQ(evicted->steps, 2) << "a plan in use outlives its place in the cache";
}

TEST_F(PlanCacheTest, ErrorsAreReportedAndNotKept) {
  EXPECT_EQ(cache_.Get(Steps(0)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(cache_.Get(Steps(0)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(compilations_, 2);
}

SamplingPlan PlanOfRows(int64_t rows) {
  SamplingPlan plan;
  plan.rows.resize(static_cast<size_t>(rows));
  return plan;
}

TEST(PlanCacheBytes, LongPlansPushOutOthersButTheNewestStays) {
  int compilations = 0;
  PlanCache cache([&compilations](const SamplingOptions& options) -> absl::StatusOr<SamplingPlan> {
    ++compilations;
    return PlanOfRows(options.steps);
  });
  const int64_t rows = static_cast<int64_t>(PlanCache::kMaxBytes / sizeof(PlanRow));
  (void)cache.Get(Steps(5));
  (void)cache.Get(Steps(static_cast<int>(rows + 1)));
  EXPECT_EQ(compilations, 2);
  (void)cache.Get(Steps(static_cast<int>(rows + 1)));
  EXPECT_EQ(compilations, 2);
  (void)cache.Get(Steps(5));
  EXPECT_EQ(compilations, 3);
}

TEST(PlanCacheBytes, AreHeldOnceForAllWhoBorrowAndComeBack) {
  PlanCache cache([](const SamplingOptions& options) -> absl::StatusOr<SamplingPlan> {
    return PlanOfRows(options.steps);
  });
  MemoryBudget budget(4 * 1500 * sizeof(PlanRow));
  auto first = cache.Borrow(Steps(2500), budget, "a");
  ASSERT_TRUE(first.ok()) << first.status();
  auto second = cache.Borrow(Steps(2500), budget, "a");
  EXPECT_EQ(*first, *second);
  EXPECT_EQ((*second)->rows.size(), 2500u);
  EXPECT_TRUE(absl::IsResourceExhausted(cache.Borrow(Steps(2501), budget, "a").status()));
  first = absl::UnknownError("given back");
  EXPECT_TRUE(absl::IsResourceExhausted(cache.Borrow(Steps(2501), budget, "a").status()));
  second = absl::UnknownError("given back");
  EXPECT_TRUE(cache.Borrow(Steps(2501), budget, "a").ok());
}

}  // namespace
}  // namespace diffusiond
