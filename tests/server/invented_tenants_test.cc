// A client without an identity may name any tenant. However many it invents, what the server
// remembers, counts by and holds does not grow.
#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "prometheus/registry.h"
#include "server/engine/engine.h"
#include "server/engine/queue_places.h"
#include "server/engine/step_policy.h"
#include "server/metrics/server_metrics.h"
#include "tests/testing/stepped_engine.h"
#include "tests/testing/test_plans.h"

namespace diffusiond {
namespace {

constexpr int kTenants = 100'000;
// What a tenant that is remembered takes is more than its name, of 32 bytes.
constexpr int kMostBytesMore = kTenants;

int64_t ResidentBytes() {
  int64_t pages = 0, resident = 0;
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  EXPECT_EQ(std::fscanf(file, "%ld %ld", &pages, &resident), 2);
  std::fclose(file);
  return resident * sysconf(_SC_PAGESIZE);
}

int64_t LiveBytes() { return static_cast<int64_t>(mallinfo2().uordblks); }

class InventedTenants : public ::testing::Test {
 protected:
  InventedTenants() : metrics_(&registry_, "1.2.3"), engine_(Options()) {}

  SteppedEngine::Options Options() {
    SteppedEngine::Options options;
    options.engine.max_trajectories = 64;
    options.engine.metrics = &metrics_;
    options.engine.make_policy = [this] {
      auto policy = std::make_unique<StepPolicy>();
      policy_ = policy.get();
      return policy;
    };
    return options;
  }

  // Each of them asks: alone or with others, from an address of its own or not. Of eight one is
  // refused for want of room, one is cancelled, and the others get their image.
  void Come(int first, int count) {
    for (int number = first; number < first + count; ++number) {
      GenerationSpec spec = Images(1, 1, HalvingPlan(1));
      spec.tenant = absl::StrCat("invented-by-a-hostile-client-", number);
      spec.address = number % 2 == 0 ? "ipv4:192.0.2.1" : absl::StrCat("ipv6:[2001:db8::", number);
      spec.priority = static_cast<Priority>(number % 3);
      if (number % 8 == 0) spec.trajectories.resize(65, spec.trajectories[0]);
      const auto admitted = engine_.engine().Submit(spec, std::make_shared<RecordingListener>());
      EXPECT_EQ(admitted.ok(), number % 8 != 0) << admitted.status();
      if (number % 8 == 1) engine_.Cancel(*admitted, absl::CancelledError("gone"));
      if (number % 8 == 7) engine_.StepAll();
    }
  }

  size_t Series() const {
    size_t series = 0;
    for (const prometheus::MetricFamily& family : registry_.Collect()) {
      series += family.metric.size();
    }
    return series;
  }

  prometheus::Registry registry_;
  ServerMetrics metrics_;
  StepPolicy* policy_ = nullptr;  // The engine's.
  SteppedEngine engine_;
};

TEST_F(InventedTenants, ChangeNeitherMemoryNorTheCountOfMetrics) {
  Come(0, 8'000);  // Until all that is kept for the next has its size.
  const size_t series = Series();
  const int64_t live = LiveBytes(), resident = ResidentBytes();
  Come(8'000, kTenants);
  EXPECT_EQ(Series(), series);
  EXPECT_EQ(policy_->known_tenants(), 0u);
  if (live == 0) return;  // A sanitizer's malloc, which keeps what is freed for a while.
  EXPECT_LT(LiveBytes() - live, kMostBytesMore);
  EXPECT_LT(ResidentBytes() - resident, kMostBytesMore + (1 << 20)) << "what malloc keeps is freed";
}

TEST(QueuePlacesOfInventedTenants, AreForgottenWithTheirLast) {
  QueuePlaces places({.places = 64});
  for (int number = 0; number < kTenants; ++number) {
    GenerationSpec spec = Images(1, 1, HalvingPlan(1));
    spec.tenant = absl::StrCat("invented-", number);
    spec.address = absl::StrCat("address", number % 3);
    ASSERT_FALSE(places.Check(spec).has_value());
    places.Take(spec);
    ASSERT_EQ(places.known_tenants(), 1u);
    places.Release(spec, 1);
  }
  EXPECT_EQ(places.known_tenants(), 0u);
}

}  // namespace
}  // namespace diffusiond
