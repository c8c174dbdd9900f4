#include <torch/torch.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "model/evaluation/drawn_images.h"
#include "model/evaluation/image_features.h"
#include "model/evaluation/level_losses.h"
#include "model/evaluation/nearest_images.h"
#include "model/evaluation/unet_lanes.h"
#include "model/files/durable_write.h"
#include "model/imaging/contact_sheet.h"
#include "model/imaging/resize.h"
#include "model/programs/evaluation/commands.h"
#include "model/programs/evaluation/evaluation_input.h"
#include "model/programs/evaluation/feature_flags.h"
#include "model/sampling/sampler.h"
#include "model/status/status_macros.h"
#include "model/unet/unet_checkpoint.h"
#include "nlohmann/json.hpp"

ABSL_FLAG(int, sweep_samples, 200,
          "samples: images drawn with a setting of --sweep that does not say");
ABSL_FLAG(std::vector<std::string>, sweep, {},
          "samples: settings beside the defaults: sampler:steps:eta:guidance[:samples], separated "
          "by commas");

namespace diffusiond {
namespace {

struct Evaluation {
  const CheckpointConfig* config;
  ModelSchedule schedule;
  std::unique_ptr<PlanRunner> runner;
  FeatureNetwork* features;
};

absl::StatusOr<Setting> ParseSetting(const SchedulerConfig& scheduler, const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  Setting setting;
  setting.sampling = DefaultSamplingOptions(scheduler);
  setting.samples = absl::GetFlag(FLAGS_sweep_samples);
  if (parts.size() < 4 || parts.size() > 5 ||
      !absl::SimpleAtoi(parts[1], &setting.sampling.steps) ||
      !absl::SimpleAtod(parts[2], &setting.sampling.eta) ||
      !absl::SimpleAtod(parts[3], &setting.guidance_scale) ||
      (parts.size() == 5 && !absl::SimpleAtoi(parts[4], &setting.samples))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--sweep has \"", text, "\"; it must be sampler:steps:eta:guidance[:samples]"));
  }
  setting.sampling = ForSampler(parts[0], setting.sampling);
  return setting;
}

// Draws the setting's images, class after class in turn, and says what share is put into the class
// asked.
absl::StatusOr<nlohmann::json> Judge(const Evaluation& evaluation, const Setting& setting,
                                     std::vector<Frame>* frames) {
  const int count = setting.samples;
  const int64_t classes = static_cast<int64_t>(evaluation.config->class_names.size());
  const absl::Time start = absl::Now();
  ASSIGN_OR_RETURN(DrawnImages drawn, Draw(*evaluation.config, evaluation.schedule, setting,
                                           absl::GetFlag(FLAGS_seed), evaluation.runner.get()));
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  *frames = std::move(drawn.frames);
  const std::vector<int64_t>& labels = drawn.labels;

  ASSIGN_OR_RETURN(const ImageFeatures features, evaluation.features->Extract(*frames));
  const std::vector<int64_t> judged = LikeliestClasses(features);
  std::vector<int64_t> right(static_cast<size_t>(classes));
  int64_t all_right = 0;
  for (size_t i = 0; i < judged.size(); ++i) {
    if (judged[i] != labels[i]) continue;
    ++right[static_cast<size_t>(labels[i])];
    ++all_right;
  }
  nlohmann::json by_class;
  for (int64_t k = 0; k < classes; ++k) {
    by_class[evaluation.config->class_names[static_cast<size_t>(k)]] =
        right[static_cast<size_t>(k)];
  }
  absl::PrintF("%-44s %5d of %d in the class asked for   %.0f s\n", setting.ToString(), all_right,
               count, seconds);
  std::fflush(stdout);
  return nlohmann::json{{"setting", setting.ToString()},
                        {"samples", count},
                        {"in_class_asked_for", all_right},
                        {"by_class", by_class},
                        {"seconds", seconds}};
}

// 64 images, and 16 of them each beside the nearest training image.
absl::Status WriteSheets(const std::filesystem::path& out, const std::vector<Frame>& frames,
                         const ImageDataset& train, nlohmann::json* report) {
  std::vector<Image> sheet;
  for (size_t i = 0; i < frames.size() && i < 64; ++i) sheet.push_back(ToImage(frames[i]));
  RETURN_IF_ERROR(WritePngFile(out / "samples.png", Upscale(ContactSheet(sheet, 16), 2)));
  std::vector<Image> pairs;
  nlohmann::json distances = nlohmann::json::array();
  for (size_t i = 0; i < frames.size() && i < 16; ++i) {
    const NearestImage nearest = FindNearest(train, frames[i]);
    pairs.push_back(ToImage(frames[i]));
    pairs.push_back(ImageAt(train, nearest.index));
    distances.push_back({{"training_image", nearest.index}, {"rms", nearest.rms}});
  }
  (*report)["nearest"] = distances;
  return WritePngFile(out / "nearest.png", Upscale(ContactSheet(pairs, 8), 3));
}

// How far the nearest other training image of a test image is: what "not memorised" looks like.
double MedianTestDistance(const ImageDataset& train, const ImageDataset& test) {
  std::vector<double> distances;
  for (int64_t index : EvenlySpread(test.size(), 64)) {
    distances.push_back(FindNearest(train, ToFrame(ImageAt(test, index))).rms);
  }
  const auto middle = distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2);
  std::nth_element(distances.begin(), middle, distances.end());
  return *middle;
}

}  // namespace

absl::Status RunSamplesCommand() {
  ASSIGN_OR_RETURN(std::filesystem::path out, RequireFlags());
  ASSIGN_OR_RETURN(int micro_batch, MicroBatchFromFlags());
  ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(absl::GetFlag(FLAGS_checkpoint)));
  const CheckpointConfig& config = checkpoint.config();
  if (config.class_names.empty()) {
    return absl::InvalidArgumentError("the checkpoint has no classes to judge by");
  }
  ASSIGN_OR_RETURN(std::unique_ptr<FeatureNetwork> features, OpenFeaturesFromFlags());
  if (const absl::Status numbered = features->NumberAs(config.class_names); !numbered.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--features: ", numbered.message()));
  }
  ASSIGN_OR_RETURN(std::shared_ptr<UNet> network, LoadUNet(checkpoint));
  ASSIGN_OR_RETURN(ImageDataset train, OpenSplit(config, DatasetSplit::kTrain, 0));
  ASSIGN_OR_RETURN(ImageDataset test, OpenSplit(config, DatasetSplit::kTest, 0));
  ASSIGN_OR_RETURN(ModelSchedule schedule, MakeModelSchedule(config.scheduler));
  nlohmann::json report = {{"checkpoint_digest", checkpoint.digest()}};
  const absl::StatusOr<std::unique_ptr<const Objective>> objective =
      MakeObjective(config.scheduler, ObjectiveOptions(), torch::kCPU);
  if (!objective.ok() && !absl::IsUnimplemented(objective.status())) return objective.status();
  if (!objective.ok()) {
    absl::PrintF("no held-out loss: %s\n", objective.status().message());
  }
  std::vector<LevelLoss> levels;
  if (objective.ok()) {
    levels = LossByLevel(*network, **objective, test, schedule.num_train_timesteps, 10);
  }
  for (const LevelLoss& level : levels) {
    absl::PrintF("t %4d .. %4d  held-out loss %.5f +- %.5f\n", level.first_timestep,
                 level.last_timestep, level.loss, level.standard_error);
    report["held_out_loss"].push_back({{"first_timestep", level.first_timestep},
                                       {"last_timestep", level.last_timestep},
                                       {"loss", level.loss},
                                       {"standard_error", level.standard_error},
                                       {"images", level.images}});
  }

  const absl::StatusOr<double> accuracy = AccuracyOf(features.get(), test);
  if (!accuracy.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--features: ", accuracy.status().message()));
  }
  report["features"] = features->identity();
  report["classifier_accuracy"] = *accuracy;
  absl::PrintF("classifier: %.1f %% of the test images right\n", 100 * *accuracy);
  std::fflush(stdout);
  report["median_nearest_rms_of_test_images"] = MedianTestDistance(train, test);

  ASSIGN_OR_RETURN(std::unique_ptr<PlanRunner> runner,
                   RunnerOf(checkpoint, micro_batch, *DeviceFromFlags()));
  const Evaluation evaluation = {&config, schedule, std::move(runner), features.get()};

  std::vector<Frame> frames;
  const absl::StatusOr<Setting> setting = DefaultSetting(config, absl::GetFlag(FLAGS_samples));
  if (!setting.ok()) return setting.status();
  ASSIGN_OR_RETURN(nlohmann::json defaults, Judge(evaluation, *setting, &frames));
  report["defaults"] = std::move(defaults);
  RETURN_IF_ERROR(WriteSheets(out, frames, train, &report));
  for (const std::string& text : absl::GetFlag(FLAGS_sweep)) {
    ASSIGN_OR_RETURN(Setting setting, ParseSetting(config.scheduler, text));
    ASSIGN_OR_RETURN(nlohmann::json judged, Judge(evaluation, setting, &frames));
    report["sweep"].push_back(std::move(judged));
  }
  return ReplaceFile(out / "evaluation.json", report.dump(2) + "\n");
}

}  // namespace diffusiond
