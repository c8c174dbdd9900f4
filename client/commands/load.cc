#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/commands/commands.h"
#include "client/commands/connection.h"
#include "client/commands/load_progress.h"
#include "client/commands/security_flags.h"
#include "client/load/load_mix.h"
#include "client/load/load_plan.h"
#include "client/load/load_plot.h"
#include "client/load/load_report.h"
#include "client/load/load_run.h"
#include "client/load/load_tables.h"
#include "client/load/load_trace.h"
#include "client/output_files.h"
#include "client/rpc_error.h"
#include "model/status/status_macros.h"

ABSL_FLAG(std::string, mix, "plain", "=MIX: what is asked for, see above");
ABSL_FLAG(std::optional<double>, rate, std::nullopt,
          "=R: requests a second; needed unless a trace gives the times");
ABSL_FLAG(diffusiond::DurationFlag, duration, {absl::InfiniteDuration()},
          "=SECONDS: send for so long; 1m if neither this nor --requests is given");
ABSL_FLAG(std::optional<int64_t>, requests, std::nullopt, "=N: send so many");
ABSL_FLAG(std::string, arrivals, "poisson",
          "=HOW: they are spread over time: poisson, uniform, burst:N or trace:FILE");
ABSL_FLAG(int, max_in_flight, diffusiond::LoadRunOptions().max_in_flight,
          "=N: streams open at once; what comes on top is not sent, and counted");
ABSL_FLAG(int, channels, diffusiond::LoadRunOptions().channels, "=N: connections");
ABSL_FLAG(diffusiond::DurationFlag, drain, {diffusiond::LoadRunOptions().drain_timeout},
          "=SECONDS: what runs so long after the last request was sent counts as failed");
ABSL_FLAG(std::string, csv, "", "=FILE.csv: one line a request");
ABSL_FLAG(std::string, plot, "", "=FILE.svg: latencies over time, and their distribution");
ABSL_FLAG(std::string, save_trace, "", "=FILE.csv: the plan, for --arrivals=trace:FILE");
ABSL_FLAG(std::string, label, "", "=TEXT: what the run is called in tables and files");

ABSL_DECLARE_FLAG(std::optional<uint64_t>, seed);

namespace diffusiond {
namespace {

constexpr absl::Duration kDefaultDuration = absl::Minutes(1);

constexpr char kDetails[] =
    R"(Requests are sent at times drawn beforehand, whatever became of the earlier ones, and latencies count
from those times: a server that stalls is seen to stall. --seed draws the same plan again; --deadline
and --tenant are for requests whose entry has none. Nothing of what comes is kept.

The mix has entries with ';' between them; of each, the first word is a name, the others are
  weight          its share, beside the other entries' (1)
  model count class format preview_every preview preview_max_side, and the options of samplers and
  guidance        as generate's flags; what is not named is the server's default
  priority        high, normal or low
  tenant          sent as metadata diffusiond-tenant
  deadline        10s: the call's deadline, from its intended time
  cancel_after    2s: then the call is cancelled

  diffusionctl load --rate=5 --duration=1m \
    --mix="short weight=0.8 steps=20; long weight=0.2 steps=250 priority=low deadline=10s"

Ends with 0 if every call sent was ok, refused, too late or cancelled on purpose, with 1 if the server
could not be reached or calls failed otherwise. Ctrl-C ends it early, with a report of what was.
)";

absl::Status CheckLabel() {
  const std::string label = absl::GetFlag(FLAGS_label);
  if (label.size() <= kMaxLabelBytes &&
      std::none_of(label.begin(), label.end(), absl::ascii_iscntrl)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--label: expected one line of at most ", kMaxLabelBytes, " bytes"));
}

absl::StatusOr<LoadPlan> PlanByFlags(uint64_t seed) {
  ASSIGN_OR_RETURN(LoadMix mix, ParseLoadMix(absl::GetFlag(FLAGS_mix)));
  RETURN_IF_ERROR(CheckTenantFlag());
  for (LoadEntry& entry : mix.entries) {
    if (entry.tenant.empty()) entry.tenant = absl::GetFlag(FLAGS_tenant);
    if (entry.deadline == absl::InfiniteDuration())
      entry.deadline = absl::GetFlag(FLAGS_deadline).value;
  }
  ASSIGN_OR_RETURN(const Arrivals arrivals, ParseArrivals(absl::GetFlag(FLAGS_arrivals)));
  const bool trace = arrivals.kind == Arrivals::Kind::kTrace;
  const std::optional<double> rate = absl::GetFlag(FLAGS_rate);
  if (!trace && !rate.has_value()) {
    return absl::InvalidArgumentError("--rate=R is needed: requests a second");
  }
  LoadPlanOptions options{.arrivals = arrivals,
                          .rate = rate.value_or(0),
                          .duration = absl::GetFlag(FLAGS_duration).value,
                          .requests = absl::GetFlag(FLAGS_requests),
                          .seed = seed};
  if (!trace && options.duration == absl::InfiniteDuration() && !options.requests.has_value()) {
    options.duration = kDefaultDuration;
  }
  return MakeLoadPlan(std::move(mix), options);
}

// Of a generator on the server's machine, what it took from the server.
double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return absl::ToDoubleSeconds(absl::DurationFromTimeval(usage.ru_utime) +
                               absl::DurationFromTimeval(usage.ru_stime));
}

absl::Status Save(const std::string& path, const std::string& text, CommandContext& context) {
  absl::Status saved = SaveFile(path, text);
  if (saved.ok()) *context.out << path << "\n";
  return saved;
}

// Nothing is measured that could not be kept.
absl::Status CheckPlaces() {
  for (const auto& [flag, path] : {std::pair{"--csv", absl::GetFlag(FLAGS_csv)},
                                   std::pair{"--plot", absl::GetFlag(FLAGS_plot)}}) {
    if (path.empty()) continue;
    if (absl::Status place = CheckFile(path); !place.ok()) return WithPrefix(flag, place);
  }
  return absl::OkStatus();
}

absl::Status SaveFiles(const LoadPlan& plan, const LoadResult& result, CommandContext& context) {
  const std::string label = absl::GetFlag(FLAGS_label);
  const std::string csv = absl::GetFlag(FLAGS_csv);
  const std::string plot = absl::GetFlag(FLAGS_plot);
  absl::Status saved;
  if (!csv.empty()) saved = Save(csv, LoadCsv(plan, result, label), context);
  if (!plot.empty()) saved.Update(Save(plot, LoadPlot(plan, result, label), context));
  return saved;
}

int UsageError(const absl::Status& status, CommandContext& context) {
  *context.err << "diffusionctl: " << status.message() << "\n  See: diffusionctl help load\n";
  return kExitUsage;
}

absl::StatusOr<LoadResult> RunByFlags(const LoadPlan& plan, CommandContext& context) {
  LoadProgressPrinter printer(context.terminal(), context.err);
  LoadRunOptions options;
  options.target = ServerByFlags();
  ASSIGN_OR_RETURN(const ClientOptions connection, ClientOptionsByFlags());
  options.credentials = connection.credentials;
  options.channels = absl::GetFlag(FLAGS_channels);
  options.max_in_flight = absl::GetFlag(FLAGS_max_in_flight);
  options.drain_timeout = absl::GetFlag(FLAGS_drain).value;
  options.cancellation = context.cancellation;
  options.on_progress = [&printer](const LoadProgress& progress) { printer.Print(progress); };
  return RunLoad(plan, options);
}

int Run(const std::vector<std::string>&, CommandContext& context) {
  const uint64_t seed = absl::GetFlag(FLAGS_seed).value_or(std::random_device()());
  absl::StatusOr<LoadPlan> plan = PlanByFlags(seed);
  if (const absl::Status label = CheckLabel(); plan.ok() && !label.ok()) plan = label;
  if (!plan.ok()) return UsageError(plan.status(), context);
  const absl::Status traced =
      absl::GetFlag(FLAGS_save_trace).empty()
          ? absl::OkStatus()
          : Save(absl::GetFlag(FLAGS_save_trace), LoadTraceOf(*plan), context);
  if (!traced.ok()) return ReportError(traced, context);

  if (const absl::Status places = CheckPlaces(); !places.ok()) return ReportError(places, context);
  const absl::StatusOr<LoadResult> result = RunByFlags(*plan, context);
  if (absl::IsInvalidArgument(result.status())) return UsageError(result.status(), context);
  if (!result.ok()) return ReportError(result.status(), context);
  const LoadReport report = MakeLoadReport(*plan, *result);
  if (const std::string label = absl::GetFlag(FLAGS_label); !label.empty()) {
    *context.out << label << "\n";
  }
  *context.out << LoadTables(report)
               << absl::StrFormat("seed %d; the generator used %.1f s of CPU\n", seed,
                                  CpuSeconds());
  const absl::Status saved = SaveFiles(*plan, *result, context);
  if (!saved.ok()) return ReportError(saved, context);
  if (report.all.failed == 0) return kExitOk;
  *context.err << "diffusionctl: " << report.all.failed << " of " << report.all.sent
               << " calls failed; the first:\n";
  return ReportError(result->first_failure, context);
}

}  // namespace

Command LoadCommand() {
  return {.name = "load",
          .arguments = "",
          .summary = "send requests at a rate, and measure how the server takes it",
          .details = kDetails,
          .flags = WithConnectionFlags({"rate", "duration", "requests", "mix", "arrivals", "seed",
                                        "max_in_flight", "channels", "drain", "csv", "plot",
                                        "save_trace", "label"}),
          .run = Run};
}

}  // namespace diffusiond
