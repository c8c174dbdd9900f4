#include "client/load/load_report.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace diffusiond {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Lateness is part of every latency; below these it cannot be seen in one.
constexpr double kLatenessAllowed = 0.005;  // Seconds.
constexpr double kLatenessShareAllowed = 0.01;

// NaN left out; the values are kept sorted.
class Sample {
 public:
  void Add(double value) {
    if (!std::isnan(value)) values_.push_back(value);
  }
  void Sort() { std::sort(values_.begin(), values_.end()); }

  double Quantile(double q) const {
    if (values_.empty()) return kNaN;
    // 0.07 * 100 is a little more than 7.
    const double rank = std::ceil(q * static_cast<double>(values_.size()) - 1e-9);
    return values_[static_cast<size_t>(std::max(rank, 1.0)) - 1];
  }
  double Mean() const {
    if (values_.empty()) return kNaN;
    return std::accumulate(values_.begin(), values_.end(), 0.0) /
           static_cast<double>(values_.size());
  }

 private:
  std::vector<double> values_;
};

double Rate(int64_t images, double seconds) {
  return seconds > 0 ? static_cast<double>(images) / seconds : kNaN;
}

void CountOutcome(LoadOutcome outcome, LoadNumbers& numbers) {
  switch (outcome) {
    case LoadOutcome::kOk:
      ++numbers.ok;
      break;
    case LoadOutcome::kRefused:
      ++numbers.refused;
      break;
    case LoadOutcome::kDeadlineExceeded:
      ++numbers.deadline_exceeded;
      break;
    case LoadOutcome::kCancelled:
      ++numbers.cancelled;
      break;
    case LoadOutcome::kFailed:
      ++numbers.failed;
      break;
    case LoadOutcome::kNotSent:
    case LoadOutcome::kStopped:
      ++numbers.not_sent;
      break;
  }
}

// Takes in records one by one.
class Counter {
 public:
  Counter(std::string name, double busy, double window) : busy_(busy), window_(window) {
    numbers_.name = std::move(name);
  }

  void Add(const LoadRecord& record) {
    ++numbers_.planned;
    CountOutcome(record.outcome, numbers_);
    numbers_.images += record.images;
    numbers_.previews += record.previews;
    numbers_.bytes += record.bytes;
    first_preview_.Add(record.first_preview - record.intended);
    const double taken = record.finished - record.intended;
    if (record.outcome == LoadOutcome::kOk) latency_.Add(taken);
    if (record.outcome == LoadOutcome::kRefused) refusal_.Add(taken);
    if (record.finished <= window_) window_images_ += record.images;
    if (record.deadline_met) good_images_ += record.images;
  }

  LoadNumbers Sum() {
    for (Sample* sample : {&latency_, &first_preview_, &refusal_}) sample->Sort();
    LoadNumbers& n = numbers_;
    n.sent = n.planned - n.not_sent;
    n.latency_mean = latency_.Mean();
    n.latency_p50 = latency_.Quantile(0.5);
    n.latency_p90 = latency_.Quantile(0.9);
    n.latency_p99 = latency_.Quantile(0.99);
    n.latency_max = latency_.Quantile(1);
    n.first_preview_p50 = first_preview_.Quantile(0.5);
    n.first_preview_p99 = first_preview_.Quantile(0.99);
    n.refusal_p50 = refusal_.Quantile(0.5);
    n.refusal_p99 = refusal_.Quantile(0.99);
    n.refusal_max = refusal_.Quantile(1);
    n.throughput = Rate(n.images, busy_);
    n.window_throughput = Rate(window_images_, window_);
    n.goodput = Rate(good_images_, busy_);
    return n;
  }

 private:
  const double busy_;
  const double window_;
  LoadNumbers numbers_;
  Sample latency_;
  Sample first_preview_;
  Sample refusal_;
  int64_t window_images_ = 0;
  int64_t good_images_ = 0;
};

// From the first request sent to the last status; 0 if nothing was sent.
double BusyTime(std::span<const LoadRecord> records) {
  double first = std::numeric_limits<double>::infinity();
  double last = -first;
  for (const LoadRecord& record : records) {
    // NaN compares false.
    if (record.sent < first) first = record.sent;
    if (record.finished > last) last = record.finished;
  }
  return last > first ? last - first : 0;
}

int64_t CountOf(LoadOutcome outcome, std::span<const LoadRecord> records) {
  return std::count_if(records.begin(), records.end(),
                       [outcome](const LoadRecord& record) { return record.outcome == outcome; });
}

std::vector<std::string> Warnings(const LoadReport& report, const LoadResult& result) {
  std::vector<std::string> warnings;
  const double median = std::isnan(report.all.latency_p50) ? 0 : report.all.latency_p50;
  if (report.lateness_p99 > std::max(kLatenessAllowed, kLatenessShareAllowed * median)) {
    warnings.push_back(absl::StrFormat(
        "the generator was late itself: 1 %% of the requests were sent %.1f ms or more behind "
        "their time, and latencies contain it; it needs more CPU or a lower rate",
        report.lateness_p99 * 1e3));
  }
  if (const int64_t count = CountOf(LoadOutcome::kNotSent, result.records); count > 0) {
    warnings.push_back(absl::StrCat(
        count,
        " requests were not sent, for too many were in flight: the load was lower than "
        "planned, and what these would have met is missing from the latencies"));
  }
  if (result.stopped) {
    warnings.push_back(absl::StrCat(
        "the run was stopped before its end: ", CountOf(LoadOutcome::kStopped, result.records),
        " requests were not sent, and what still ran was cancelled"));
  }
  return warnings;
}

}  // namespace

double ExactQuantile(std::span<const double> values, double q) {
  Sample sample;
  for (const double value : values) sample.Add(value);
  sample.Sort();
  return sample.Quantile(q);
}

LoadReport MakeLoadReport(const LoadPlan& plan, const LoadResult& result) {
  LoadReport report;
  report.window = absl::ToDoubleSeconds(result.window);
  report.busy = BusyTime(result.records);
  Counter all("all", report.busy, report.window);
  std::vector<Counter> entries;
  for (const LoadEntry& entry : plan.mix.entries) {
    entries.emplace_back(entry.name, report.busy, report.window);
  }
  Sample lateness;
  for (const LoadRecord& record : result.records) {
    all.Add(record);
    entries[record.entry].Add(record);
    lateness.Add(record.sent - record.intended);
  }
  lateness.Sort();
  report.all = all.Sum();
  for (Counter& entry : entries) report.entries.push_back(entry.Sum());
  report.lateness_p99 = lateness.Quantile(0.99);
  report.lateness_max = lateness.Quantile(1);
  report.warnings = Warnings(report, result);
  return report;
}

}  // namespace diffusiond
