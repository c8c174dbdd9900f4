// What each sampler draws of Gaussian data with its exact denoiser, by exact arithmetic and by
// diffusers'. Computed, not drawn: every run prints the same.
//
//   exactness_table [--schedule=linear] [--spacing=trailing] [--mean=0.25] [--deviation=0.2]
//                   [--quick]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/sampling/sampler.h"
#include "tests/benchmarks/benchmark_run.h"
#include "tests/testing/plan_moments.h"

ABSL_FLAG(std::string, schedule, "linear", "beta_schedule: linear, squaredcos_cap_v2, ...");
ABSL_FLAG(std::string, spacing, "trailing", "leading, trailing or linspace");
ABSL_FLAG(double, mean, 0.25, "of the data");
ABSL_FLAG(double, deviation, 0.2, "of the data; 0: all are one point");

namespace diffusiond {
namespace {

std::vector<int64_t> Steps() {
  if (absl::GetFlag(FLAGS_quick)) return {1, 10};
  return {1, 5, 10, 20, 30, 50, 150, 400, 700, 1000};
}

struct Variant {
  std::string name;
  SamplingOptions options;
};

std::vector<Variant> Variants(TimestepSpacing spacing) {
  std::vector<Variant> variants;
  for (const Sampler& sampler : Samplers()) {
    variants.push_back({sampler.name, ForSampler(sampler.name, {})});
    SamplingOptions& options = variants.back().options;
    options.clip_sample = false;
    options.timestep_spacing = spacing;
    if (sampler.name == "pndm") options.skip_prk_steps = true;
    const Variant variant = variants.back();
    if (sampler.name == "ddpm") {
      variants.push_back({"ddpm fixed_large", variant.options});
      variants.back().options.variance = Variance::kFixedLarge;
      variants.push_back({"ddpm zero", variant.options});
      variants.back().options.variance = Variance::kZero;
    }
    if (sampler.name == "ddim") {
      variants.push_back({"ddim eta 1", variant.options});
      variants.back().options.eta = 1;
    }
    if (sampler.name == "dpmpp" || sampler.name == "unipc" || sampler.name == "deis") {
      variants.push_back({sampler.name + " order 3", variant.options});
      variants.back().options.solver_order = 3;
    }
  }
  return variants;
}

// "mean deviation" of what is drawn.
absl::StatusOr<std::string> Drawn(const ModelSchedule& model, SamplingOptions options,
                                  int64_t steps, const GaussianData& data) {
  options.steps = steps;
  const auto plan = CompilePlan(model, options);
  if (!plan.ok()) return plan.status();
  const Moments drawn = PlanMoments(*plan, data).back();
  return absl::StrFormat("%.4f %.4f", drawn.mean, std::sqrt(std::max(0.0, drawn.variance)));
}

void Run() {
  const auto spacing = FromWord<TimestepSpacing>(absl::GetFlag(FLAGS_spacing));
  if (!spacing.has_value()) FailBenchmark("--spacing must be leading, trailing or linspace");
  SchedulerConfig config;
  config.beta_schedule = absl::GetFlag(FLAGS_schedule);
  const absl::StatusOr<ModelSchedule> model = MakeModelSchedule(config);
  if (!model.ok()) FailBenchmark(model.status().message());
  const GaussianData data{absl::GetFlag(FLAGS_mean), absl::GetFlag(FLAGS_deviation)};
  std::printf("mean and deviation drawn, of %g and %g; %s betas, %s spacing\n%-32s", data.mean,
              data.deviation, config.beta_schedule.c_str(), absl::GetFlag(FLAGS_spacing).c_str(),
              "steps");
  for (const int64_t steps : Steps()) std::printf(" %15s", absl::StrCat(steps).c_str());
  std::printf("\n");
  absl::Status refusal;
  bool any = false;
  for (Variant& variant : Variants(*spacing)) {
    for (const Arithmetic arithmetic : {Arithmetic::kExact, Arithmetic::kDiffusers}) {
      variant.options.arithmetic = arithmetic;
      std::printf("%-32s", absl::StrCat(variant.name, ", ", WordOf(arithmetic)).c_str());
      for (const int64_t steps : Steps()) {
        const absl::StatusOr<std::string> drawn = Drawn(*model, variant.options, steps, data);
        std::printf(" %15s", drawn.ok() ? drawn->c_str() : "refused");
        any |= drawn.ok();
        refusal.Update(drawn.status());
      }
      std::printf("\n");
    }
  }
  if (!any) FailBenchmark(absl::StrCat("all are refused: ", refusal.message()));
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  diffusiond::ParseBenchmarkFlags(argc, argv);
  diffusiond::Run();
  return 0;
}
