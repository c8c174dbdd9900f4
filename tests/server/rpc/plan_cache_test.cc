#include "server/rpc/plan_cache.h"

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
  EXPECT_TRUE(differs([](SamplingOptions& o) { o.variance = "zero"; }));
  EXPECT_TRUE(differs([](SamplingOptions& o) { o.timestep_spacing = "trailing"; }));
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

}  // namespace
}  // namespace diffusiond
