// What step batching is worth: the real server under an open loop, with our policy and with what
// other servers do, on the same network and machine, in one run.
//
//   build/release/bin/serving_benchmark [--seconds=240] [--out=DIR] [--quick]
//
// Prints a table with what is asked for (bar, aim) and what was measured; with --out also writes
// the records as CSV and a plot of each latency run. Wants the machine for itself.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cancellation.h"
#include "client/diffusion_client.h"
#include "client/load/load_plot.h"
#include "client/load/load_record.h"
#include "client/load/load_report.h"
#include "client/load/load_run.h"
#include "client/load/load_tables.h"
#include "tests/benchmarks/benchmark_run.h"
#include "tests/benchmarks/serving/served_process.h"

ABSL_FLAG(std::string, model_repository, "model/checkpoints", "what is served");
ABSL_FLAG(std::string, model, "fashion-mnist", "what is drawn from");
ABSL_FLAG(int, seconds, 240, "of each latency run, 10 or more");
ABSL_FLAG(std::string, out, "", "directory for CSV files and plots; empty: none");
ABSL_FLAG(
    std::string, only, "",
    "latency, previews, overload, cancel, tenants or light: that part and the throughput that "
    "sets its rate; empty: all");
ABSL_FLAG(std::string, serve, "", "step, request or serial: be the server (used by itself)");

namespace diffusiond {
namespace {

constexpr double kShortPart = 0.8;
constexpr double kLoad = 0.85;
constexpr double kOverload = 3;

// How much of everything.
struct Sizes {
  int short_steps = FullOrQuick(20, 4);
  int long_steps = FullOrQuick(250, 30);
  int saturating = FullOrQuick(60, 10);  // Requests at once.
  int sequential = FullOrQuick(25, 3);
  int flood = FullOrQuick(1000, 100);
  int pairs = FullOrQuick(5, 1);
  int seconds = FullOrQuick(absl::GetFlag(FLAGS_seconds), 1);  // Of a latency run.
  int overload_seconds = FullOrQuick(std::max(10, seconds / 3), 1);
  int cancel_seconds = FullOrQuick(30, 1);
  int cancel_after_ms = FullOrQuick(700, 50);

  double mean_steps() const { return kShortPart * short_steps + (1 - kShortPart) * long_steps; }
};

const Sizes& Size() {
  static const Sizes sizes;
  return sizes;
}

std::string Drawing() {
  return absl::StrCat("model=", absl::GetFlag(FLAGS_model), " class=7 guidance_scale=1 ");
}

std::string Mix(const std::string& to_all, const std::string& to_short = "",
                const std::string& to_long = "") {
  const std::string request = absl::StrCat(Drawing(), "format=png ", to_all);
  return absl::StrCat("short weight=", kShortPart, " steps=", Size().short_steps, " ", request, " ",
                      to_short, "; long weight=", 1 - kShortPart, " steps=", Size().long_steps, " ",
                      request, " ", to_long);
}

struct Run {
  LoadPlan plan;
  LoadResult result;
  LoadReport report;
  const LoadNumbers& shorts() const { return report.entries[0]; }
  const LoadNumbers& longs() const { return report.entries[1]; }
  // Denoising steps a second of requests that ended in time, once the server has filled up.
  double good_steps() const {
    const double begin = report.window / 4;
    double steps = 0;
    for (const LoadRecord& record : result.records) {
      if (!record.deadline_met || record.finished < begin || record.finished > report.window)
        continue;
      steps += record.entry == 0 ? Size().short_steps : Size().long_steps;
    }
    return steps / (report.window - begin);
  }
};

template <typename T>
T ValueOrFail(absl::StatusOr<T> value) {
  if (!value.ok()) FailBenchmark(value.status().message());
  return *std::move(value);
}

Run Load(const ServedProcess& server, const std::string& mix, LoadPlanOptions options) {
  Run run;
  run.plan = ValueOrFail(MakeLoadPlan(ValueOrFail(ParseLoadMix(mix)), options));
  run.result = ValueOrFail(RunLoad(run.plan, {.target = server.address()}));
  run.report = MakeLoadReport(run.plan, run.result);
  const LoadNumbers& all = run.report.all;
  if (all.ok + all.cancelled == 0) {
    FailBenchmark(absl::StrFormat("none of %d requests succeeded (%d refused, %d too late): %s",
                                  all.planned, all.refused, all.deadline_exceeded,
                                  std::string(run.result.first_failure.message())));
  }
  for (const std::string& warning : run.report.warnings)
    std::printf("  note: %s\n", warning.c_str());
  return run;
}

// All at once: what the server can do.
Run Saturate(const ServedProcess& server, const std::string& mix) {
  LoadPlanOptions options;
  options.arrivals = {Arrivals::Kind::kBurst, Size().saturating, ""};
  options.rate = Size().saturating;
  options.requests = Size().saturating;
  options.seed = 11;
  return Load(server, mix, options);
}

Run Offer(const ServedProcess& server, const std::string& mix, double rate, int seconds) {
  LoadPlanOptions options;
  options.rate = rate;
  options.duration = absl::Seconds(seconds);
  options.seed = 5;
  return Load(server, mix, options);
}

std::unique_ptr<DiffusionClient> ClientOf(const ServedProcess& server) {
  return ValueOrFail(DiffusionClient::Connect(server.address(), {}));
}

// One request after the other; seconds of each.
std::vector<double> Sequential(const ServedProcess& server, int steps) {
  const std::unique_ptr<DiffusionClient> client = ClientOf(server);
  v1::GenerateRequest request;
  request.set_model(absl::GetFlag(FLAGS_model));
  request.set_class_id(7);
  request.mutable_sampling()->set_guidance_scale(1);
  request.mutable_sampling()->set_steps(static_cast<uint32_t>(steps));
  std::vector<double> seconds;
  for (int i = 0; i <= Size().sequential; ++i) {
    const absl::Time start = absl::Now();
    ValueOrFail(client->GenerateImages(request));
    if (i > 0) seconds.push_back(absl::ToDoubleSeconds(absl::Now() - start));
  }
  return seconds;
}

double Median(const std::vector<double>& values) { return ExactQuantile(values, 0.5); }

class Benchmark {
 public:
  explicit Benchmark(std::string program) : program_(std::move(program)) {}

  void Run() {
    const std::string only = absl::GetFlag(FLAGS_only);
    const auto wanted = [&only](const char* part) { return only.empty() || only == part; };
    MeasureThroughput();
    if (wanted("latency")) MeasureLatency();
    if (wanted("previews")) MeasurePreviews();
    if (wanted("overload")) MeasureOverload();
    if (wanted("cancel")) MeasureCancel();
    if (wanted("tenants")) MeasureTenants();
    if (wanted("light")) MeasureLightLoad();
    Print();
  }

 private:
  struct Row {
    std::string what, bar, aim, measured, note;
  };

  std::unique_ptr<ServedProcess> Serve(const std::string& mode) const {
    return std::make_unique<ServedProcess>(
        program_, mode,
        std::vector<std::string>{
            absl::StrCat("--model_repository=", absl::GetFlag(FLAGS_model_repository))});
  }

  void Add(Row row) {
    std::printf("%s: %s (%s)\n", row.what.c_str(), row.measured.c_str(), row.note.c_str());
    std::fflush(stdout);
    rows_.push_back(std::move(row));
  }
  void AddRatio(const std::string& what, const std::string& bar, const std::string& aim,
                double value, std::string note) {
    Add({what, bar, aim, absl::StrFormat("%.2f", value), std::move(note)});
  }

  void Save(const std::string& name, const diffusiond::Run& run) const {
    const std::string directory = absl::GetFlag(FLAGS_out);
    if (directory.empty()) return;
    std::ofstream(absl::StrCat(directory, "/", name, ".csv"))
        << LoadCsv(run.plan, run.result, name);
    std::ofstream(absl::StrCat(directory, "/", name, ".svg"))
        << LoadPlot(run.plan, run.result, name);
  }

  void MeasureThroughput() {
    double images[2];
    for (const bool step : {true, false}) {
      const auto server = Serve(step ? "step" : "request");
      Sequential(*server, 1);
      const double stepped = server->Metric("diffusiond_step_duration_seconds_sum");
      const diffusiond::Run run = Saturate(*server, Mix(""));
      images[step ? 0 : 1] = run.report.all.throughput;
      // The composition of what was sent, for the rates below.
      const double per_image = (static_cast<double>(run.shorts().ok) * Size().short_steps +
                                static_cast<double>(run.longs().ok) * Size().long_steps) /
                               static_cast<double>(run.report.all.ok);
      capacity_[step ? 0 : 1] = images[step ? 0 : 1] * per_image / Size().mean_steps();
      if (!step) continue;
      const double in_steps = server->Metric("diffusiond_step_duration_seconds_sum") - stepped;
      engine_share_ = server->Metric("diffusiond_step_overhead_seconds_total") / in_steps;
    }
    AddRatio("throughput at saturation, step / request", "1.0", "1.1", images[0] / images[1],
             absl::StrFormat("%.2f and %.2f images/s", images[0], images[1]));
    Add({"engine time outside the step batches / step time", "2 %", "0.5 %",
         absl::StrFormat("%.2f %%", 100 * engine_share_),
         "from a step's end to the next one's start, at saturation"});
  }

  void MeasureLatency() {
    const int seconds = Size().seconds;
    const double rate = kLoad * capacity_[1];
    const auto step_server = Serve("step");
    const diffusiond::Run step = Offer(*step_server, Mix(""), rate, seconds);
    Save("step", step);
    const diffusiond::Run request = Offer(*Serve("request"), Mix(""), rate, seconds);
    Save("request", request);
    const std::string at = absl::StrFormat("%.2f requests/s, %d %% of what request batching can do",
                                           rate, static_cast<int>(100 * kLoad));
    const auto seconds_of = [](double a, double b) {
      return absl::StrFormat("%.2f s and %.2f s; ", a, b);
    };
    AddRatio("mean latency of the short ones, request / step", "3", "8",
             request.shorts().latency_mean / step.shorts().latency_mean,
             seconds_of(request.shorts().latency_mean, step.shorts().latency_mean) + at);
    AddRatio("p99 latency of the short ones, request / step", "5", "15",
             request.shorts().latency_p99 / step.shorts().latency_p99,
             seconds_of(request.shorts().latency_p99, step.shorts().latency_p99));
    AddRatio("p99 latency of the long ones, step / request", "1.6", "1.1",
             step.longs().latency_p99 / request.longs().latency_p99,
             seconds_of(step.longs().latency_p99, request.longs().latency_p99));
    const diffusiond::Run own = Offer(*step_server, Mix(""), kLoad * capacity_[0], seconds);
    Save("step_own_capacity", own);
    Add({"step at 85 % of its own capacity: p99 of short / of long", "", "",
         absl::StrFormat("%.2f s / %.2f s", own.shorts().latency_p99, own.longs().latency_p99),
         absl::StrFormat("%.2f requests/s; request batching cannot carry that",
                         kLoad * capacity_[0])});
  }

  void MeasurePreviews() {
    const auto server = Serve("step");
    Sequential(*server, 1);
    double with = 0, without = 0;
    for (int i = 0; i < 2; ++i) {
      without += Saturate(*server, Mix("")).report.all.throughput;
      with += Saturate(*server, Mix("preview_every=5")).report.all.throughput;
    }
    AddRatio("throughput with a preview every 5 steps / without", "0.97", "1.0", with / without,
             "two runs of each, in turn");
  }

  void MeasureOverload() {
    const int seconds = Size().overload_seconds;
    const std::string mix = Mix("", "deadline=2s", "deadline=12s");
    const auto server = Serve("step");
    Sequential(*server, Size().short_steps);
    double best = 0;
    for (const double load : {0.85, 1.0}) {
      best = std::max(best, Offer(*server, mix, load * capacity_[0], seconds).good_steps());
    }
    const double refused_before = server->Metric("diffusiond_deadline_misses_total");
    const diffusiond::Run over = Offer(*server, mix, kOverload * capacity_[0], seconds);
    Save("overload", over);
    AddRatio(
        "overload 3x: goodput / best goodput", "0.90", "0.98", over.good_steps() / best,
        absl::StrFormat(
            "%.0f and %.0f steps/s of requests in time; %d ok, %d refused, %.0f admitted and late",
            over.good_steps(), best, over.report.all.ok, over.report.all.refused,
            server->Metric("diffusiond_deadline_misses_total") - refused_before));
    Add({"overload: p99 time to refuse", "10 ms", "2 ms",
         absl::StrFormat("%.1f ms", 1e3 * over.report.all.refusal_p99),
         absl::StrFormat(
             "p50 %.1f ms, from the intended time of sending; the load generator shares "
             "the cores",
             1e3 * over.report.all.refusal_p50)});
  }

  void MeasureCancel() {
    const auto server = Serve("step");
    Offer(*server, Mix(absl::StrCat("cancel_after=", Size().cancel_after_ms, "ms")),
          2 * capacity_[0], Size().cancel_seconds);
    Add({"cancel to rows free, p99", "2 steps", "1 step",
         absl::StrFormat("%.0f step", server->Quantile("diffusiond_release_delay_steps", 0.99)),
         absl::StrFormat("%.0f rows freed",
                         server->Metric("diffusiond_release_delay_steps_count"))});
  }

  void MeasureTenants() {
    const auto server = Serve("step");
    const std::vector<double> alone = Sequential(*server, Size().short_steps);
    const std::unique_ptr<Cancellation> stop = Cancellation::Create().value();
    LoadPlanOptions options;
    options.arrivals = {Arrivals::Kind::kBurst, Size().flood, ""};
    options.rate = Size().flood;
    options.requests = Size().flood;
    const LoadPlan plan = ValueOrFail(MakeLoadPlan(
        ValueOrFail(ParseLoadMix(absl::StrCat("flood tenant=A steps=20 ", Drawing()))), options));
    std::atomic<bool> flooding = true;
    absl::StatusOr<LoadResult> flooded;
    std::thread flood([&] {
      flooded = RunLoad(plan, {.target = server->address(), .cancellation = stop.get()});
      flooding = false;
    });
    while (flooding && server->Metric("diffusiond_waiting_trajectories") < Size().flood / 2) {
      absl::SleepFor(absl::Milliseconds(20));
    }
    if (!flooding) {
      flood.join();
      FailBenchmark(absl::StrCat("A's flood ended before B asked: ",
                                 ValueOrFail(std::move(flooded)).first_failure.message()));
    }
    const std::vector<double> beside = Sequential(*server, Size().short_steps);
    const double waiting = server->Metric("diffusiond_waiting_trajectories");
    stop->Cancel();
    flood.join();
    AddRatio(absl::StrFormat("tenant B's latency while A floods %d requests / alone", Size().flood),
             "2.2", "1.5", Median(beside) / Median(alone),
             absl::StrFormat("medians %.3f s and %.3f s; %.0f of A's still waited at the end",
                             Median(beside), Median(alone), waiting));
  }

  void MeasureLightLoad() {
    // In turn, as machines drift.
    const auto step = Serve("step"), serial = Serve("serial");
    std::vector<double> ratios;
    for (int i = 0; i < Size().pairs; ++i) {
      const double ours = Median(Sequential(*step, Size().short_steps));
      ratios.push_back(ours / Median(Sequential(*serial, Size().short_steps)));
    }
    AddRatio("light load (one request at a time): step / serial latency", "1.05", "1.0",
             Median(ratios), absl::StrFormat("median of %d pairs of medians", Size().pairs));
  }

  void Print() const {
    std::printf("\n| | bar | aim | measured | |\n|---|---|---|---|---|\n");
    for (const Row& row : rows_) {
      std::printf("| %s | %s | %s | %s | %s |\n", row.what.c_str(), row.bar.c_str(),
                  row.aim.c_str(), row.measured.c_str(), row.note.c_str());
    }
  }

  const std::string program_;
  double capacity_[2] = {0, 0};  // Requests a second of the mix: step, request.
  double engine_share_ = 0;
  std::vector<Row> rows_;
};

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  diffusiond::ParseBenchmarkFlags(argc, argv);
  if (const std::string mode = absl::GetFlag(FLAGS_serve); !mode.empty()) {
    return diffusiond::ServeUntilTerminated(mode, absl::GetFlag(FLAGS_model_repository));
  }
  if (absl::GetFlag(FLAGS_seconds) < 10) {
    std::fprintf(stderr, "--seconds is %d, allowed: 10 or more\n", absl::GetFlag(FLAGS_seconds));
    return 2;
  }
  diffusiond::PrintProcessor();
  std::printf(
      "%d %% of requests %d steps, the others %d; one unguided image each; seconds count from "
      "the intended time of sending\n",
      static_cast<int>(100 * diffusiond::kShortPart), diffusiond::Size().short_steps,
      diffusiond::Size().long_steps);
  diffusiond::Benchmark(argv[0]).Run();
  return 0;
}
