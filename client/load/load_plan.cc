#include "client/load/load_plan.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/load/load_draw.h"
#include "client/load/load_trace.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// Entries and seeds come from other bits than the times, which so stay the same for another mix.
constexpr uint64_t kEntrySeedOffset = 0x9e3779b97f4a7c15;

absl::Status TooMany() {
  return absl::InvalidArgumentError(absl::StrCat("the plan has more than ", kMaxPlannedRequests,
                                                 " requests: lower --rate or --duration"));
}

absl::Status CheckEnd(const LoadPlanOptions& options) {
  const bool timed = options.duration != absl::InfiniteDuration();
  if (timed && (options.duration <= absl::ZeroDuration() || options.duration > kMaxPlanTime)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--duration=", absl::FormatDuration(options.duration),
                     ", expected above 0, at most ", absl::FormatDuration(kMaxPlanTime)));
  }
  if (options.requests.has_value() &&
      (*options.requests < 1 || *options.requests > kMaxPlannedRequests)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--requests=", *options.requests, ", expected 1 .. ", kMaxPlannedRequests));
  }
  if (timed && options.requests.has_value()) {
    return absl::InvalidArgumentError(
        "--duration and --requests are both given, expected one of them");
  }
  if (options.arrivals.kind != Arrivals::Kind::kTrace && !timed && !options.requests.has_value()) {
    return absl::InvalidArgumentError(
        "neither --duration nor --requests is given, expected one of them");
  }
  return absl::OkStatus();
}

absl::Status CheckOptions(const LoadPlanOptions& options) {
  if (options.arrivals.kind == Arrivals::Kind::kTrace) {
    if (options.rate != 0) {
      return absl::InvalidArgumentError(
          "--rate is given, but the times of --arrivals=trace:FILE are the trace's own");
    }
  } else if (!(options.rate > 0) || options.rate > kMaxRate) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--rate=", options.rate, ", expected requests a second, above 0 and at most ", kMaxRate));
  }
  if (options.arrivals.burst < 1 || options.arrivals.burst > kMaxBurst) {
    return absl::InvalidArgumentError(
        absl::StrCat("--arrivals=burst:", options.arrivals.burst, ", expected 1 .. ", kMaxBurst));
  }
  return CheckEnd(options);
}

// The times, sorted. `options` are checked.
absl::StatusOr<std::vector<absl::Duration>> DrawTimes(const LoadPlanOptions& options) {
  const bool uniform = options.arrivals.kind == Arrivals::Kind::kUniform;
  const int64_t burst =
      options.arrivals.kind == Arrivals::Kind::kBurst ? options.arrivals.burst : 1;
  const double end = absl::ToDoubleSeconds(options.duration);
  const auto most = static_cast<size_t>(options.requests.value_or(kMaxPlannedRequests));
  std::mt19937_64 bits(options.seed);
  std::vector<absl::Duration> times;
  double gaps = 0;  // Summed up.
  for (int64_t i = 0;; ++i) {
    if (!uniform) gaps += DrawExponential(static_cast<double>(burst) / options.rate, bits);
    const double at = uniform ? static_cast<double>(i) / options.rate : gaps;
    if (at >= end) return times;
    for (int64_t j = 0; j < burst; ++j) {
      if (times.size() == most) {
        if (options.requests.has_value()) return times;
        return TooMany();
      }
      // Whole nanoseconds go into a trace and back unchanged.
      times.push_back(absl::Nanoseconds(std::llround(at * 1e9)));
    }
  }
}

// The entry whose part of the line that the weights make up `drawn`, in [0, 1), falls on.
size_t EntryAt(double drawn, const LoadMix& mix) {
  double sum = 0;
  for (const LoadEntry& entry : mix.entries) sum += entry.weight;
  double left = drawn * sum;
  for (size_t i = 0; i + 1 < mix.entries.size(); ++i) {
    left -= mix.entries[i].weight;
    if (left < 0) return i;
  }
  return mix.entries.size() - 1;
}

absl::StatusOr<std::vector<PlannedRequest>> DrawRequests(const LoadMix& mix,
                                                         const LoadPlanOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<absl::Duration> times, DrawTimes(options));
  std::mt19937_64 bits(options.seed + kEntrySeedOffset);
  std::vector<PlannedRequest> requests;
  requests.reserve(times.size());
  for (const absl::Duration at : times) {
    const size_t entry = EntryAt(DrawUniform(bits), mix);
    requests.push_back({at, entry, bits()});
  }
  return requests;
}

// Cut where the options say.
absl::StatusOr<std::vector<PlannedRequest>> ReadRequests(const LoadMix& mix,
                                                         const LoadPlanOptions& options) {
  ASSIGN_OR_RETURN(
      std::vector<PlannedRequest> requests,
      ReadLoadTrace(options.arrivals.trace_file, mix, options.seed + kEntrySeedOffset));
  const auto late = std::find_if(
      requests.begin(), requests.end(),
      [&options](const PlannedRequest& request) { return request.at >= options.duration; });
  requests.erase(late, requests.end());
  const auto most = static_cast<size_t>(options.requests.value_or(kMaxPlannedRequests));
  if (requests.size() > most) requests.resize(most);
  return requests;
}

}  // namespace

absl::StatusOr<Arrivals> ParseArrivals(absl::string_view text) {
  if (text == "poisson") return Arrivals{.kind = Arrivals::Kind::kPoisson};
  if (text == "uniform") return Arrivals{.kind = Arrivals::Kind::kUniform};
  absl::string_view rest = text;
  Arrivals arrivals;
  if (absl::ConsumePrefix(&rest, "burst:") && absl::SimpleAtoi(rest, &arrivals.burst) &&
      arrivals.burst >= 1 && arrivals.burst <= kMaxBurst) {
    arrivals.kind = Arrivals::Kind::kBurst;
    return arrivals;
  }
  if (absl::ConsumePrefix(&rest, "trace:") && !rest.empty()) {
    return Arrivals{.kind = Arrivals::Kind::kTrace, .trace_file = std::string(rest)};
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--arrivals='", text, "', expected poisson, uniform, burst:N with N of 1 .. ",
                   kMaxBurst, ", or trace:FILE"));
}

absl::StatusOr<LoadPlan> MakeLoadPlan(LoadMix mix, const LoadPlanOptions& options) {
  absl::Status checked = CheckLoadMix(mix);
  if (checked.ok()) checked = CheckOptions(options);
  if (!checked.ok()) return checked;
  ASSIGN_OR_RETURN(std::vector<PlannedRequest> requests,
                   options.arrivals.kind == Arrivals::Kind::kTrace ? ReadRequests(mix, options)
                                                                   : DrawRequests(mix, options));
  LoadPlan plan{.mix = std::move(mix), .requests = std::move(requests)};
  if (options.duration != absl::InfiniteDuration()) {
    plan.window = options.duration;
  } else if (!plan.requests.empty()) {
    plan.window = plan.requests.back().at;
  }
  return plan;
}

}  // namespace diffusiond
