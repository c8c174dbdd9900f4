// Which sampler should I use? Draws images of a checkpoint with every sampler, at a few budgets of
// network evaluations, with and without the model's guidance, and measures how far they are from
// the test images: the Frechet distance between features of a small classifier (what
// `diffusion-eval statistics` prints). All draw from the same seeds, equally many of each class.
//
//   diffusion-train --data=fashion-mnist --out=judge --image_classifier
//   build/dev/bin/quality_benchmark --data=fashion-mnist --out=quality
//       --features=judge/classifier.safetensors
//
// Prints a line a setting and keeps quality.csv and quality.svg in --out as it goes; interrupted,
// it goes on from quality.json. The distance falls with the number of images, so compare those of
// one --images only; as many training images show the best that can be hoped for.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/evaluation/feature_cache.h"
#include "model/evaluation/feature_statistics.h"
#include "model/evaluation/image_classifier.h"
#include "model/evaluation/unet_lanes.h"
#include "model/files/durable_write.h"
#include "model/imaging/line_chart.h"
#include "model/sampling/draw_images.h"
#include "model/training/data/data_flags.h"
#include "nlohmann/json.hpp"
#include "tests/benchmarks/quality/quality_setting.h"

ABSL_FLAG(std::string, checkpoint, "model/checkpoints/fashion-mnist",
          "checkpoint directory of a model with classes");
ABSL_FLAG(std::string, features, "",
          "classifier.safetensors that diffusion-train --image_classifier has made; required");
ABSL_FLAG(std::string, out, "", "directory that receives the results; required");
ABSL_FLAG(std::vector<std::string>, samplers,
          (std::vector<std::string>{"ddim:eta=1:timestep_spacing=leading", "ddim:eta=1", "ddim",
                                    "euler_ancestral", "heun", "pndm:skip_prk_steps=1", "deis",
                                    "dpmpp", "dpmpp:algorithm_type=sde-dpmsolver++", "unipc"}),
          "samplers, each with its options: ddim:eta=1:timestep_spacing=leading; any option");
ABSL_FLAG(std::string, spacing, "trailing",
          "timestep spacing of samplers that do not say; empty: the model's");
ABSL_FLAG(std::vector<std::string>, evaluations, (std::vector<std::string>{"5", "10", "15", "20"}),
          "budgets of network evaluations an image");
ABSL_FLAG(int, images, 100, "images a setting; at least 2");
ABSL_FLAG(uint64_t, seed, 0, "of the images");

namespace diffusiond {
namespace {

constexpr int kMicroBatch = 8;

struct Setting {
  std::string sampler;
  double guidance = 1;
  int evaluations = 0;  // The budget.

  std::string Key() const { return absl::StrCat(sampler, " ", guidance, " ", evaluations); }
};

struct Quality {
  int64_t steps = 0;
  int64_t evaluations = 0;  // What was taken of the budget.
  double distance = 0;
  double in_class = 0;  // Share of the images that the classifier puts into the class asked for.
  double seconds = 0;
};

struct Sweep {
  std::unique_ptr<Checkpoint> checkpoint;
  ModelSchedule model;
  std::unique_ptr<PlanRunner> runner;
  std::unique_ptr<FeatureNetwork> features;
  GaussianMoments real;
  double training_distance = 0;
  int images = 0;
  std::filesystem::path out;
  std::string fingerprint;
  std::vector<Setting> settings;  // In the order in which they are run.
  nlohmann::json results;         // Quality by key.
};

absl::Status ListSettings(Sweep* sweep) {
  const auto& generation = sweep->checkpoint->config().generation;
  std::vector<double> scales = {1};
  if (generation.has_value() && generation->guidance_scale != 1) {
    scales.push_back(generation->guidance_scale);
  }
  for (const std::string& text : absl::GetFlag(FLAGS_evaluations)) {
    int evaluations = 0;
    if (!absl::SimpleAtoi(text, &evaluations) || evaluations < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("--evaluations has \"", text, "\"; it must be a number from 1 on"));
    }
    for (const double scale : scales) {
      for (const std::string& sampler : absl::GetFlag(FLAGS_samplers)) {
        sweep->settings.push_back({sampler, scale, evaluations});
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<SamplingPlan> PlanOf(const Sweep& sweep, const Setting& setting) {
  SamplingOptions options = DefaultSamplingOptions(sweep.checkpoint->config().scheduler);
  options.eta = 0;
  const std::string spacing = absl::GetFlag(FLAGS_spacing);
  if (!spacing.empty()) {
    const auto choice = FromWord<TimestepSpacing>(spacing);
    if (!choice.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("--spacing is ", spacing));
    }
    options.timestep_spacing = *choice;
  }
  const auto parsed = ParseQualitySetting(setting.sampler, options);
  if (!parsed.ok()) return parsed.status();
  absl::StatusOr<SamplingPlan> plan = LargestPlan(sweep.model, *parsed, setting.evaluations);
  if (plan.ok()) return plan;
  return absl::InvalidArgumentError(
      absl::StrCat("--samplers has ", setting.sampler, ": ", plan.status().message()));
}

absl::StatusOr<Quality> Measure(Sweep* sweep, const Setting& setting) {
  absl::StatusOr<SamplingPlan> plan = PlanOf(*sweep, setting);
  if (!plan.ok()) return plan.status();
  const CheckpointConfig& config = sweep->checkpoint->config();
  const auto classes = static_cast<int64_t>(config.class_names.size());
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < sweep->images; ++i) labels.push_back(i % classes);
  const DrawSpec spec = {.seed = absl::GetFlag(FLAGS_seed),
                         .null_label = config.null_class_id.value_or(0),
                         .guidance = {.scale = setting.guidance}};
  const absl::Time start = absl::Now();
  absl::StatusOr<std::vector<Frame>> frames = DrawImages(*plan, spec, labels, sweep->runner.get());
  if (!frames.ok()) return frames.status();
  Quality quality;
  quality.seconds = absl::ToDoubleSeconds(absl::Now() - start);
  quality.steps = plan->steps;
  quality.evaluations = static_cast<int64_t>(plan->rows.size());
  // What a client gets is bytes.
  for (Frame& frame : *frames) frame = ToFrame(ToImage(frame));
  absl::StatusOr<ImageFeatures> features = sweep->features->Extract(*frames);
  if (!features.ok()) return features.status();
  const absl::StatusOr<GaussianMoments> moments = MomentsOf(*features);
  if (!moments.ok()) return moments.status();
  quality.distance = FrechetDistance(*moments, sweep->real);
  const std::vector<int64_t> judged = LikeliestClasses(*features);
  int64_t right = 0;
  for (size_t i = 0; i < labels.size(); ++i) right += judged[i] == labels[i] ? 1 : 0;
  quality.in_class = static_cast<double>(right) / static_cast<double>(labels.size());
  return quality;
}

absl::Status Save(const Sweep& sweep) {
  std::string csv =
      "sampler,guidance,budget,steps,evaluations,images,frechet_distance,in_class,seconds\n";
  std::vector<LineChart> charts;
  for (const Setting& setting : sweep.settings) {
    const auto found = sweep.results.find(setting.Key());
    if (found == sweep.results.end()) continue;
    const nlohmann::json& q = *found;
    const double distance = q.at("frechet_distance"), evaluations = q.at("evaluations");
    absl::StrAppendFormat(&csv, "%s,%g,%d,%d,%g,%d,%.5f,%.4f,%.1f\n", setting.sampler,
                          setting.guidance, setting.evaluations, q.at("steps").get<int64_t>(),
                          evaluations, sweep.images, distance, q.at("in_class").get<double>(),
                          q.at("seconds").get<double>());
    const std::string title = absl::StrFormat("network evaluations, guidance %g", setting.guidance);
    auto chart = std::find_if(charts.begin(), charts.end(),
                              [&](const LineChart& c) { return c.x_title == title; });
    if (chart == charts.end()) {
      chart = charts.insert(
          chart,
          LineChart{.x_title = title, .y_title = "Frechet distance", .log_y = true, .series = {}});
    }
    auto series = std::find_if(chart->series.begin(), chart->series.end(),
                               [&](const LineSeries& s) { return s.name == setting.sampler; });
    if (series == chart->series.end()) {
      series = chart->series.insert(series, LineSeries{.name = setting.sampler, .points = {}});
    }
    series->points.push_back({evaluations, distance});
  }
  for (LineChart& chart : charts) {
    double last = 0;
    for (const LineSeries& series : chart.series) last = std::max(last, series.points.back().x);
    chart.series.push_back({absl::StrCat(sweep.images, " training images"),
                            {{0, sweep.training_distance}, {last, sweep.training_distance}}});
  }
  const nlohmann::json state = {{"fingerprint", sweep.fingerprint}, {"results", sweep.results}};
  absl::Status status = ReplaceFile(sweep.out / "quality.json", state.dump(2) + "\n");
  if (status.ok()) status = ReplaceFile(sweep.out / "quality.csv", csv);
  if (!status.ok()) return status;
  return ReplaceFile(
      sweep.out / "quality.svg",
      DrawLineCharts(charts, absl::StrCat("Distance to the data, ", sweep.images, " images each")));
}

// Results of an earlier run of the same, if there was one.
absl::Status LoadResults(Sweep* sweep) {
  sweep->results = nlohmann::json::object();
  const std::filesystem::path path = sweep->out / "quality.json";
  std::ifstream file(path);
  if (!file) return absl::OkStatus();
  const nlohmann::json state = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!state.is_object() || !state.contains("results") ||
      state.value("fingerprint", "") != sweep->fingerprint) {
    return absl::FailedPreconditionError(
        absl::StrCat(path.string(), " is of another measurement; --out must be another directory"));
  }
  sweep->results = state.at("results");
  return absl::OkStatus();
}

absl::Status Prepare(Sweep* sweep) {
  absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(absl::GetFlag(FLAGS_checkpoint));
  if (!checkpoint.ok()) return checkpoint.status();
  sweep->checkpoint = std::make_unique<Checkpoint>(*std::move(checkpoint));
  const CheckpointConfig& config = sweep->checkpoint->config();
  if (config.class_names.empty()) {
    return absl::InvalidArgumentError("the checkpoint has no classes to judge by");
  }
  absl::StatusOr<ModelSchedule> model = MakeModelSchedule(config.scheduler);
  if (!model.ok()) return model.status();
  sweep->model = *std::move(model);
  if (absl::Status status = ListSettings(sweep); !status.ok()) return status;
  // Every setting can be run, or none is.
  for (const Setting& setting : sweep->settings) {
    if (auto plan = PlanOf(*sweep, setting); !plan.ok()) return plan.status();
  }
  const absl::StatusOr<ImageDataset> train =
      OpenSplitFromFlags(DatasetSplit::kTrain, config.class_names);
  if (!train.ok()) return train.status();
  const ImageDataset few = Select(*train, EvenlySpread(train->size(), sweep->images));
  const absl::StatusOr<ImageDataset> test =
      OpenSplitFromFlags(DatasetSplit::kTest, config.class_names);
  if (!test.ok()) return test.status();

  std::error_code error;
  std::filesystem::create_directories(sweep->out, error);
  if (error) return absl::InvalidArgumentError(absl::StrCat("--out: ", error.message()));
  auto runner = RunnerOf(*sweep->checkpoint, kMicroBatch, torch::kCPU);
  if (!runner.ok()) return runner.status();
  sweep->runner = *std::move(runner);
  auto features = ImageClassifier::Load(absl::GetFlag(FLAGS_features));
  if (!features.ok()) return features.status();
  sweep->features = *std::move(features);
  GaussianMoments few_moments;
  for (const auto& [data, moments] : {std::pair{&*test, &sweep->real}, {&few, &few_moments}}) {
    const auto extracted = CachedFeatures(sweep->out, *data, sweep->features.get());
    if (!extracted.ok()) return extracted.status();
    absl::StatusOr<GaussianMoments> found = MomentsOf(*extracted);
    if (!found.ok()) return found.status();
    *moments = *std::move(found);
  }
  sweep->training_distance = FrechetDistance(few_moments, sweep->real);
  sweep->fingerprint =
      absl::StrCat("model ", sweep->checkpoint->digest(), ", data ", test->digest, ", features ",
                   sweep->features->identity(), ", images ", sweep->images, ", seed ",
                   absl::GetFlag(FLAGS_seed), ", micro-batch ", kMicroBatch);
  return LoadResults(sweep);
}

absl::Status Run() {
  Sweep sweep;
  sweep.out = absl::GetFlag(FLAGS_out);
  sweep.images = absl::GetFlag(FLAGS_images);
  if (absl::GetFlag(FLAGS_features).empty()) {
    return absl::InvalidArgumentError("--features is required");
  }
  if (sweep.out.empty()) return absl::InvalidArgumentError("--out is required");
  if (sweep.images < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("--images is ", sweep.images, "; it must be at least 2"));
  }
  if (absl::Status status = Prepare(&sweep); !status.ok()) return status;
  absl::PrintF("%d images each; %d of the training images are at %.4f\n", sweep.images,
               sweep.images, sweep.training_distance);
  absl::PrintF("%-36s %8s %6s %12s %9s %9s %8s\n", "sampler", "guidance", "steps", "evaluations",
               "distance", "in class", "seconds");
  for (const Setting& setting : sweep.settings) {
    if (!sweep.results.contains(setting.Key())) {
      const absl::StatusOr<Quality> quality = Measure(&sweep, setting);
      if (!quality.ok()) return quality.status();
      sweep.results[setting.Key()] = {{"steps", quality->steps},
                                      {"evaluations", quality->evaluations},
                                      {"frechet_distance", quality->distance},
                                      {"in_class", quality->in_class},
                                      {"seconds", quality->seconds}};
      if (absl::Status status = Save(sweep); !status.ok()) return status;
    }
    const nlohmann::json& q = sweep.results[setting.Key()];
    absl::PrintF("%-36s %8g %6d %12d %9.4f %7.1f %% %8.1f\n", setting.sampler, setting.guidance,
                 q.at("steps").get<int64_t>(), q.at("evaluations").get<int64_t>(),
                 q.at("frechet_distance").get<double>(), 100 * q.at("in_class").get<double>(),
                 q.at("seconds").get<double>());
    std::fflush(stdout);
  }
  return Save(sweep);
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "draws distance to the data over network evaluations, sampler by sampler\n"
      "  quality_benchmark --data=DIR --features=FILE --out=DIR");
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = diffusiond::Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}
