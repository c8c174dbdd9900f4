// What the records of a run come to.
//
// Latency is from the intended time of sending to the status, of requests that were ok. Quantiles
// are exact: the q-quantile of n values is the smallest of them with at least q * n values not
// above it (nearest rank), so it is always a value that was measured. NaN where there is none.
#ifndef DIFFUSIOND_CLIENT_LOAD_LOAD_REPORT_H_
#define DIFFUSIOND_CLIENT_LOAD_LOAD_REPORT_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "client/load/load_plan.h"
#include "client/load/load_run.h"

namespace diffusiond {

// Of `values` in any order, NaN left out. 0 < q <= 1.
double ExactQuantile(std::span<const double> values, double q);

// Of one entry, or of all. Times in seconds from the intended time of sending, rates per second.
struct LoadNumbers {
  std::string name = {};  // The entry's; "all".

  // planned = sent + not_sent; sent = ok + refused + deadline_exceeded + cancelled + failed.
  int64_t planned = 0;
  int64_t sent = 0;
  int64_t ok = 0;
  int64_t refused = 0;
  int64_t deadline_exceeded = 0;
  int64_t cancelled = 0;
  int64_t failed = 0;
  int64_t not_sent = 0;

  int64_t images = 0;  // That came, also before a request ended in another way than ok.
  int64_t previews = 0;
  uint64_t bytes = 0;

  double latency_mean = 0;
  double latency_p50 = 0;
  double latency_p90 = 0;
  double latency_p99 = 0;
  double latency_max = 0;

  double first_preview_p50 = 0;  // Of all that had one.
  double first_preview_p99 = 0;

  double refusal_p50 = 0;
  double refusal_p99 = 0;
  double refusal_max = 0;

  // Images over the time from the run's first request sent to its last status.
  double throughput = 0;
  // Images of requests that ended inside the sending window, over the window: a backlog that is
  // worked off after the last request does not count.
  double window_throughput = 0;
  // Images of requests that were ok within their deadline, over the same time as throughput.
  double goodput = 0;
};

struct LoadReport {
  LoadNumbers all = {};
  std::vector<LoadNumbers> entries = {};  // By entry of the mix.
  double window = 0;                      // Seconds of sending.
  double busy = 0;                        // Seconds from the first request sent to the last status.
  // How long after its intended time the generator itself sent a request.
  double lateness_p99 = 0;
  double lateness_max = 0;
  // Why the numbers are not what they look like, one sentence each; empty: nothing is known.
  std::vector<std::string> warnings = {};
};

// `result` is the plan's.
LoadReport MakeLoadReport(const LoadPlan& plan, const LoadResult& result);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_LOAD_LOAD_REPORT_H_
