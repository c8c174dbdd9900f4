#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/evaluation/drawn_images.h"
#include "model/evaluation/feature_cache.h"
#include "model/evaluation/feature_statistics.h"
#include "model/evaluation/unet_lanes.h"
#include "model/files/durable_write.h"
#include "model/imaging/contact_sheet.h"
#include "model/imaging/resize.h"
#include "model/programs/evaluation/commands.h"
#include "model/programs/evaluation/evaluation_input.h"
#include "model/programs/evaluation/feature_flags.h"
#include "model/status/status_macros.h"
#include "nlohmann/json.hpp"

ABSL_FLAG(std::string, samples_from, "",
          "statistics: judge these images (idx, CIFAR-10 or a folder) instead of drawing some");
ABSL_FLAG(std::string, cache, "",
          "statistics: directory of the data's features, by its digest; empty: in --out");
ABSL_FLAG(int, neighbours, 3, "statistics: k of precision and recall, and neighbours shown");

namespace diffusiond {
namespace {

constexpr int64_t kShown = 16;

struct Judged {
  std::string what;
  std::vector<Frame> frames;
};

absl::StatusOr<Judged> ImagesToJudge(const EvaluationInput& input) {
  const std::string path = absl::GetFlag(FLAGS_samples_from);
  Judged judged;
  if (!path.empty()) {
    DatasetSpec spec;
    spec.path = path;
    ASSIGN_OR_RETURN(ImageDataset data, OpenDataset(spec));
    for (const std::string& warning : data.warnings) {
      std::cerr << "diffusion-eval: warning: " << warning << std::endl;
    }
    if (data.channels != input.data.channels || data.height != input.data.height ||
        data.width != input.data.width) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--samples_from has images of ", data.channels, "x", data.height, "x", data.width,
          "; --data has ", input.data.channels, "x", input.data.height, "x", input.data.width));
    }
    for (int64_t i = 0; i < data.size(); ++i) {
      judged.frames.push_back(ToFrame(ImageAt(data, i)));
    }
    judged.what = absl::StrCat(data.size(), " images of ", path);
    return judged;
  }
  const CheckpointConfig& config = input.checkpoint.config();
  ASSIGN_OR_RETURN(std::unique_ptr<PlanRunner> runner,
                   RunnerOf(input.checkpoint, *MicroBatchFromFlags(), *DeviceFromFlags()));
  ASSIGN_OR_RETURN(const Setting setting, DefaultSetting(config, absl::GetFlag(FLAGS_samples)));
  std::cout << "drawing " << setting.samples << " images: " << setting.ToString() << std::endl;
  ASSIGN_OR_RETURN(DrawnImages drawn,
                   Draw(config, input.model, setting, absl::GetFlag(FLAGS_seed), runner.get()));
  judged.frames = std::move(drawn.frames);
  // What a client gets is bytes.
  for (Frame& frame : judged.frames) frame = ToFrame(ToImage(frame));
  judged.what = absl::StrCat(judged.frames.size(), " drawn, ", setting.ToString());
  return judged;
}

// Compares, prints a line and gives it as JSON.
absl::StatusOr<nlohmann::json> Compare(const std::string& what, const ImageFeatures& drawn,
                                       const ImageFeatures& real) {
  ASSIGN_OR_RETURN(const GaussianMoments drawn_moments, MomentsOf(drawn));
  ASSIGN_OR_RETURN(const GaussianMoments real_moments, MomentsOf(real));
  absl::StatusOr<PrecisionRecall> covered =
      PrecisionRecallOf(drawn, real, absl::GetFlag(FLAGS_neighbours));
  if (!covered.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--neighbours: ", covered.status().message()));
  }
  const double distance = FrechetDistance(drawn_moments, real_moments);
  nlohmann::json json = {{"images", what},
                         {"frechet_distance", distance},
                         {"precision", covered->precision},
                         {"recall", covered->recall}};
  std::string score;
  if (drawn.classes > 0) {
    const int splits = static_cast<int>(std::min<int64_t>(10, drawn.images));
    ASSIGN_OR_RETURN(InceptionScore inception, InceptionScoreOf(drawn, splits));
    json["inception_score"] = inception.mean;
    json["inception_score_deviation"] = inception.deviation;
    json["inception_score_splits"] = splits;
    score = absl::StrFormat("  Inception score %.3f +- %.3f", inception.mean, inception.deviation);
  }
  absl::PrintF("%-48s Frechet distance %8.4f  precision %.3f  recall %.3f%s\n", what, distance,
               covered->precision, covered->recall, score);
  std::fflush(stdout);
  return json;
}

// Images, each followed by the nearest real ones.
Image NeighbourSheet(const Judged& judged, const ImageFeatures& features, const ImageDataset& data,
                     const ImageFeatures& real) {
  const int64_t neighbours = std::min<int64_t>(absl::GetFlag(FLAGS_neighbours), data.size());
  std::vector<Image> cells;
  for (int64_t i = 0; i < std::min(features.images, kShown); ++i) {
    cells.push_back(ToImage(judged.frames[static_cast<size_t>(i)]));
    for (const FeatureNeighbour& nearest : NearestByFeatures(features, i, real, neighbours)) {
      cells.push_back(ImageAt(data, nearest.index));
    }
  }
  return Upscale(ContactSheet(cells, 4 * static_cast<int>(neighbours + 1)), 2);
}

}  // namespace

absl::Status RunStatisticsCommand() {
  ASSIGN_OR_RETURN(EvaluationInput input, OpenEvaluationInput(/*default_images=*/0));
  const std::string cache_flag = absl::GetFlag(FLAGS_cache);
  const std::filesystem::path cache =
      cache_flag.empty() ? input.out / "cache" : std::filesystem::path(cache_flag);
  std::error_code error;
  std::filesystem::create_directories(cache, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("--cache is ", cache.string(), ": ", error.message()));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<FeatureNetwork> network, OpenFeaturesFromFlags());
  ASSIGN_OR_RETURN(ImageFeatures real, CachedFeatures(cache, input.data, network.get()));
  std::cout << "against " << input.description << ", " << real.dimensions << " features each"
            << std::endl;
  nlohmann::json report = {{"measured_against", input.description},
                           {"fingerprint", input.fingerprint},
                           {"features", network->identity()},
                           {"feature_dimensions", real.dimensions},
                           {"neighbours", absl::GetFlag(FLAGS_neighbours)}};

  ASSIGN_OR_RETURN(Judged judged, ImagesToJudge(input));
  ASSIGN_OR_RETURN(ImageFeatures features, network->Extract(judged.frames));
  absl::StatusOr<nlohmann::json> compared = Compare(judged.what, features, real);
  if (!compared.ok()) return compared.status();
  report["judged"] = *std::move(compared);

  // What as many real images would get: the best that can be hoped for.
  absl::StatusOr<ImageDataset> train =
      OpenSplit(input.checkpoint.config(), DatasetSplit::kTrain, features.images);
  if (train.ok()) {
    ASSIGN_OR_RETURN(ImageFeatures train_features, CachedFeatures(cache, *train, network.get()));
    compared =
        Compare(absl::StrCat(train->size(), " of the training images"), train_features, real);
    if (!compared.ok()) return compared.status();
    report["training_images"] = *std::move(compared);
  }
  absl::Status status = WritePngFile(input.out / "neighbours.png",
                                     NeighbourSheet(judged, features, input.data, real));
  if (status.ok()) status = ReplaceFile(input.out / "statistics.json", report.dump(2) + "\n");
  return status;
}

}  // namespace diffusiond
