// What is sent and when: drawn before the first request goes out, so that nothing a server does
// changes what it is asked. Plain data.
#ifndef DIFFUSIOND_CLIENT_LOAD_LOAD_PLAN_H_
#define DIFFUSIOND_CLIENT_LOAD_LOAD_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/load/load_mix.h"

namespace diffusiond {

inline constexpr int64_t kMaxPlannedRequests = 1'000'000;
inline constexpr double kMaxRate = 100'000;  // Requests a second.
inline constexpr int64_t kMaxBurst = 10'000;
inline constexpr absl::Duration kMaxPlanTime = absl::Hours(24);

struct PlannedRequest {
  absl::Duration at;  // From the start of the run; whole nanoseconds.
  size_t entry;       // Of the mix.
  uint64_t seed;      // Of the request.

  bool operator==(const PlannedRequest&) const = default;
};

struct LoadPlan {
  LoadMix mix = {};
  std::vector<PlannedRequest> requests = {};  // By time.
  // How long is sent: the duration asked for, else the time of the last request.
  absl::Duration window = absl::ZeroDuration();
};

struct Arrivals {
  enum class Kind {
    kPoisson,  // Independent of each other: exponential gaps of mean 1 / rate.
    kUniform,  // One every 1 / rate, the first at 0.
    kBurst,    // `burst` at once; the bursts are Poisson, at rate / burst.
    kTrace,    // As `trace_file` says (load_trace.h).
  };
  Kind kind = Kind::kPoisson;
  int64_t burst = 1;
  std::string trace_file = {};
};

// "poisson", "uniform", "burst:N", "trace:FILE". INVALID_ARGUMENT otherwise.
absl::StatusOr<Arrivals> ParseArrivals(absl::string_view text);

struct LoadPlanOptions {
  Arrivals arrivals = {};
  double rate = 0;  // Requests a second, above 0; a trace has its own and wants 0.
  // Exactly one of these two; a trace wants none or either, and is cut there.
  absl::Duration duration = absl::InfiniteDuration();
  std::optional<int64_t> requests = std::nullopt;
  // Same seed, same plan. The times do not depend on the mix.
  uint64_t seed = 1;
};

// INVALID_ARGUMENT: an option out of its range, more than kMaxPlannedRequests, or a wrong trace
// (named by file and line). NOT_FOUND: there is no such trace.
absl::StatusOr<LoadPlan> MakeLoadPlan(LoadMix mix, const LoadPlanOptions& options);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_LOAD_LOAD_PLAN_H_
