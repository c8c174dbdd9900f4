// Who waits for whom: the policies on one device in simulated time, and the trade that StepPolicy's
// patience makes between short and long requests, as a table and a plot. The same numbers on every
// machine.
//
//   build/release/bin/scheduling_benchmark [--quick] [PLOT.svg]
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/load/load_report.h"
#include "server/engine/step_policy.h"
#include "tests/benchmarks/baseline_policies.h"
#include "tests/benchmarks/benchmark_run.h"

namespace diffusiond {
namespace {

// One device that runs kCapacity rows of any requests in one time unit.
constexpr int kCapacity = 4;
constexpr int kShort = 20, kLong = 250;
constexpr double kShortPart = 0.8;
int Requests() { return FullOrQuick(40'000, 400); }
const absl::Time kStart = absl::FromUnixSeconds(0);

struct Request {
  double arrives = 0;
  int steps = 1;
};

// Poisson, at this part of what the device can do.
std::vector<Request> Arrivals(double load) {
  std::mt19937_64 random(7);
  const auto uniform = [&random] { return (random() >> 11) * 0x1.0p-53; };
  const double mean_steps = kShortPart * kShort + (1 - kShortPart) * kLong;
  const double rate = load * kCapacity / mean_steps;
  std::vector<Request> requests(static_cast<size_t>(Requests()));
  double now = 0;
  for (Request& request : requests) {
    now += -std::log(1 - uniform()) / rate;
    request = {now, uniform() < kShortPart ? kShort : kLong};
  }
  return requests;
}

struct Result {
  std::vector<double> short_latency, long_latency;
};

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}
double P99(const std::vector<double>& values) { return ExactQuantile(values, 0.99); }

// A step takes one unit if rows are equal (a device that is never full until its last row), or as
// long as the part of it that is used (`cost_by_row`: a processor).
Result Simulate(SchedulingPolicy& policy, const std::vector<Request>& requests, bool cost_by_row) {
  Result result;
  std::map<uint64_t, int> left;
  size_t next = 0;
  double now = 0;
  const auto time = [&now] { return kStart + absl::Seconds(now); };
  while (next < requests.size() || !left.empty()) {
    for (; next < requests.size() && requests[next].arrives <= now; ++next) {
      const int steps = requests[next].steps;
      left[next] = steps;
      policy.Admit({.id = next, .tenant = "", .admitted = time()},
                   {{.image_index = 0, .rows_left = steps}});
    }
    const std::vector<PolicyChoice> chosen =
        policy.Choose({.now = time(), .capacity = kCapacity, .new_residents = Requests()});
    if (chosen.empty()) {
      const double decision = absl::ToDoubleSeconds(policy.NextDecision() - kStart);
      const double arrival = next < requests.size() ? requests[next].arrives : decision;
      now = std::max(now, std::min(arrival, decision));
      continue;
    }
    now += cost_by_row ? static_cast<double>(chosen.size()) / kCapacity : 1;
    for (const PolicyChoice& choice : chosen) {
      int& rows = left.at(choice.generation);
      if (--rows > 0) {
        policy.PutBack(choice.generation, {.image_index = 0, .rows_left = rows, .resident = true});
        continue;
      }
      policy.Retire(choice.generation, 0);
      policy.Remove(choice.generation);
      const Request& request = requests[choice.generation];
      (request.steps == kShort ? result.short_latency : result.long_latency)
          .push_back(now - request.arrives);
      left.erase(choice.generation);
    }
  }
  return result;
}

struct Entry {
  std::string name;
  std::function<std::unique_ptr<SchedulingPolicy>()> make;
};

std::vector<Entry> Entries() {
  std::vector<Entry> entries = {
      {"request batching", [] { return std::make_unique<RequestBatchPolicy>(absl::Seconds(5)); }},
      {"serial", [] { return std::make_unique<SerialPolicy>(); }},
      {"least served first", [] { return std::make_unique<LeastServedPolicy>(); }},
  };
  for (const int patience : {0, 1, 2, 4, 8, 16, 32, 64, 256}) {
    entries.push_back({absl::StrCat("patience ", patience), [patience] {
                         StepPolicy::Options options;
                         options.patience = patience;
                         options.ageing = absl::InfiniteDuration();
                         return std::make_unique<StepPolicy>(options);
                       }});
  }
  return entries;
}

struct Point {
  std::string name;
  double short_mean = 0, short_p99 = 0, long_p99 = 0;  // Relative to request batching.
};

std::vector<Point> Table(double load, bool cost_by_row) {
  const std::vector<Request> requests = Arrivals(load);
  std::printf("\nload %.2f, a step costs %s; latency in steps of a full batch\n", load,
              cost_by_row ? "by its rows" : "the same whatever its rows");
  std::printf("%-20s %10s %10s %10s %10s | %s\n", "policy", "short mean", "short p99", "long mean",
              "long p99", "against request batching: short mean, short p99, long p99");
  std::vector<Point> points;
  Result base;
  for (const Entry& entry : Entries()) {
    // Serial work fills one row of a batch: far past its capacity, nothing to see.
    if (entry.name == "serial" && !cost_by_row) continue;
    const std::unique_ptr<SchedulingPolicy> policy = entry.make();
    const Result result = Simulate(*policy, requests, cost_by_row);
    if (points.empty()) base = result;
    const Point point = {entry.name, Mean(result.short_latency) / Mean(base.short_latency),
                         P99(result.short_latency) / P99(base.short_latency),
                         P99(result.long_latency) / P99(base.long_latency)};
    points.push_back(point);
    std::printf("%-20s %10.1f %10.1f %10.1f %10.1f | 1/%.1f 1/%.1f %.2f\n", entry.name.c_str(),
                Mean(result.short_latency), P99(result.short_latency), Mean(result.long_latency),
                P99(result.long_latency), 1 / point.short_mean, 1 / point.short_p99,
                point.long_p99);
  }
  return points;
}

// Short p99 across, long p99 up, both logarithmic and against request batching: down left is good.
// Where points lie on one another only some can be named.
std::string LabelOf(const Point& point) {
  if (point.name == "patience 8") return "patience 8 .. 256";
  for (const char* unnamed :
       {"patience 16", "patience 32", "patience 64", "patience 256", "serial"}) {
    if (point.name == unnamed) return "";
  }
  return point.name;
}

std::string Plot(const std::vector<Point>& points, const std::string& title) {
  constexpr double kWidth = 640, kHeight = 420, kLeft = 70, kTop = 40, kRight = 30, kBottom = 50;
  constexpr double kLeast = 0.01, kMost = 3, kLow = 0.5, kHigh = 16;
  const auto x = [&](double v) {
    return kLeft + (kWidth - kLeft - kRight) * std::log(v / kLeast) / std::log(kMost / kLeast);
  };
  const auto y = [&](double v) {
    return kHeight - kBottom -
           (kHeight - kTop - kBottom) * std::log(v / kLow) / std::log(kHigh / kLow);
  };
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%g\" height=\"%g\" "
      "font-family=\"sans-serif\" "
      "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
      "<text x=\"%g\" y=\"22\" font-size=\"14\">%s</text>\n",
      kWidth, kHeight, kLeft, title);
  for (const double v : {0.01, 0.03, 0.1, 0.3, 1.0, 3.0}) {
    absl::StrAppendFormat(&svg,
                          "<path d=\"M%.1f %gV%g\" stroke=\"#ddd\"/><text x=\"%.1f\" y=\"%g\" "
                          "text-anchor=\"middle\">%g</text>\n",
                          x(v), kTop, kHeight - kBottom, x(v), kHeight - kBottom + 16, v);
  }
  for (const double v : {0.5, 1.0, 2.0, 4.0, 8.0, 16.0}) {
    absl::StrAppendFormat(&svg,
                          "<path d=\"M%g %.1fH%g\" stroke=\"#ddd\"/><text x=\"%g\" y=\"%.1f\" "
                          "text-anchor=\"end\">%g</text>\n",
                          kLeft, y(v), kWidth - kRight, kLeft - 6, y(v) + 4, v);
  }
  absl::StrAppendFormat(&svg,
                        "<text x=\"%g\" y=\"%g\" text-anchor=\"middle\">p99 of short requests / "
                        "request batching</text>\n"
                        "<text transform=\"translate(16 %g) rotate(-90)\" "
                        "text-anchor=\"middle\">p99 of long requests / "
                        "request batching</text>\n",
                        kWidth / 2, kHeight - 12, kHeight / 2);
  std::string line;
  for (const Point& point : points) {
    const bool ours = point.name.starts_with("patience");
    const bool above = ours && point.name != "patience 8";
    const double px = x(std::clamp(point.short_p99, kLeast, kMost));
    const double py = y(std::clamp(point.long_p99, kLow, kHigh));
    if (ours) absl::StrAppendFormat(&line, "%s%.1f %.1f", line.empty() ? "M" : "L", px, py);
    absl::StrAppendFormat(&svg,
                          "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/><text x=\"%.1f\" "
                          "y=\"%.1f\">%s</text>\n",
                          px, py, ours ? "#1f6feb" : "#c93c37", px + (above ? 3 : -110),
                          py - (above ? 8 : -18), LabelOf(point));
  }
  absl::StrAppend(&svg, "<path d=\"", line, "\" fill=\"none\" stroke=\"#1f6feb\"/>\n</svg>\n");
  return svg;
}

void Run(const std::vector<std::string>& arguments) {
  std::printf("%d requests, %g of them %d steps, the others %d, Poisson; %d rows a batch\n",
              Requests(), kShortPart, kShort, kLong, kCapacity);
  const std::vector<Point> points = Table(0.85, /*cost_by_row=*/true);
  Table(0.95, /*cost_by_row=*/true);
  Table(0.30, /*cost_by_row=*/false);
  if (arguments.empty()) return;
  std::ofstream out(arguments.front());
  out << Plot(points, "One device at 85 % load: what patience trades");
  out.close();
  if (!out) FailBenchmark(absl::StrCat("cannot write ", arguments.front()));
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  diffusiond::Run(diffusiond::ParseBenchmarkFlags(argc, argv));
  return 0;
}
