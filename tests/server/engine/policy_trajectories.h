// Short words for what a policy is told.
#ifndef DIFFUSIOND_TESTS_SERVER_ENGINE_POLICY_TRAJECTORIES_H_
#define DIFFUSIOND_TESTS_SERVER_ENGINE_POLICY_TRAJECTORIES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/engine/scheduling_policy.h"

namespace diffusiond {

inline std::vector<PolicyTrajectory> Trajectories(int count, int rows_left, int passes = 1) {
  std::vector<PolicyTrajectory> trajectories;
  for (int i = 0; i < count; ++i) {
    trajectories.push_back({.image_index = i,
                            .rows_left = rows_left,
                            .passes = passes,
                            .extra_left = (passes - 1) * rows_left});
  }
  return trajectories;
}

inline constexpr int kUnlimited = 1000;
inline const absl::Time kStart = absl::FromUnixSeconds(1000);

inline PolicyGeneration Of(uint64_t id, const std::string& tenant = "",
                           Priority priority = Priority::kNormal, const std::string& address = "") {
  return {.id = id, .address = address, .tenant = tenant, .priority = priority, .admitted = kStart};
}

inline SchedulingPolicy::Offer Room(int capacity, int new_residents = kUnlimited,
                                    absl::Time now = kStart) {
  return {.now = now, .capacity = capacity, .new_residents = new_residents};
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SERVER_ENGINE_POLICY_TRAJECTORIES_H_
