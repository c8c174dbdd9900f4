#include "model/programs/evaluation/evaluation_input.h"

#include <unistd.h>

#include <iostream>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "model/files/durable_write.h"
#include "model/imaging/png.h"
#include "model/status/status_macros.h"
#include "model/training/data/data_flags.h"
#include "model/unet/device_option.h"

ABSL_FLAG(std::string, checkpoint, "", "checkpoint directory");
ABSL_FLAG(std::string, out, "", "directory that receives the results");
ABSL_FLAG(std::string, split, "test", "images to measure on: test or train");
ABSL_FLAG(int64_t, images, -1,
          "measure on at most so many, evenly spread; 0: all; -1: the command's own number");
ABSL_FLAG(std::string, condition, "auto",
          "class: give the network each image's class; none: the null class; auto: class where "
          "model and data have them");
ABSL_FLAG(std::string, device, "cpu", "cpu (all cores), cuda or cuda:N");
ABSL_FLAG(int, micro_batch, 8, "rows of one network call");
ABSL_FLAG(int, samples, 1000,
          "samples, statistics: images drawn with the model's defaults, equally many of each "
          "class");
ABSL_FLAG(uint64_t, seed, 0, "of everything drawn");

namespace diffusiond {
namespace {

absl::StatusOr<DatasetSplit> SplitFromFlags() {
  const std::string split = absl::GetFlag(FLAGS_split);
  if (split == "test") return DatasetSplit::kTest;
  if (split == "train") return DatasetSplit::kTrain;
  return absl::InvalidArgumentError(
      absl::StrCat("--split is \"", split, "\"; it must be test or train"));
}

// The label of every image, by --condition; `*by_class` says which it was.
absl::StatusOr<std::vector<int64_t>> ChooseLabels(const CheckpointConfig& config,
                                                  const ImageDataset& data, bool* by_class) {
  const std::string condition = absl::GetFlag(FLAGS_condition);
  if (condition != "auto" && condition != "class" && condition != "none") {
    return absl::InvalidArgumentError(
        absl::StrCat("--condition is \"", condition, "\"; it must be auto, class or none"));
  }
  const int64_t classes = config.unet.num_class_embeds.value_or(0);
  const bool possible = classes > 0 && !data.labels.empty();
  if (condition == "class" && !possible) {
    return absl::InvalidArgumentError(absl::StrCat("--condition is class, but the ",
                                                   classes > 0 ? "images" : "model",
                                                   classes > 0 ? " have none" : " has none"));
  }
  *by_class = possible && condition != "none";
  if (!*by_class) {
    if (classes > 0 && !config.null_class_id.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the model has classes and no null class, so it needs each image's: ",
                       condition == "none" ? "--condition is none" : "--data has no labels"));
    }
    return std::vector<int64_t>(static_cast<size_t>(data.size()), config.null_class_id.value_or(0));
  }
  std::vector<int64_t> labels(data.labels.begin(), data.labels.end());
  for (const int64_t label : labels) {
    if (label < 0 || label >= classes) {
      return absl::InvalidArgumentError(
          absl::StrCat("an image has class ", label, "; the model has 0 .. ", classes - 1));
    }
  }
  return labels;
}

}  // namespace

absl::StatusOr<torch::Device> DeviceFromFlags() { return ParseDevice(absl::GetFlag(FLAGS_device)); }

absl::StatusOr<std::filesystem::path> RequireFlags() {
  for (const auto& [name, value] :
       {std::pair<const char*, std::string>{"--checkpoint", absl::GetFlag(FLAGS_checkpoint)},
        {"--data", absl::GetFlag(FLAGS_data)},
        {"--out", absl::GetFlag(FLAGS_out)}}) {
    if (value.empty()) return absl::InvalidArgumentError(absl::StrCat(name, " is required"));
  }
  if (absl::StatusOr<torch::Device> device = DeviceFromFlags(); !device.ok()) {
    return device.status();
  }
  const std::filesystem::path out = absl::GetFlag(FLAGS_out);
  std::error_code error;
  std::filesystem::create_directories(out, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("--out is ", out.string(), ": ", error.message()));
  }
  return out;
}

absl::StatusOr<int> MicroBatchFromFlags() {
  constexpr int kMost = 4096;
  const int rows = absl::GetFlag(FLAGS_micro_batch);
  if (rows >= 1 && rows <= kMost) return rows;
  return absl::InvalidArgumentError(
      absl::StrCat("--micro_batch is ", rows, "; it must be 1 .. ", kMost));
}

absl::StatusOr<ImageDataset> OpenSplit(const CheckpointConfig& config, DatasetSplit split,
                                       int64_t max_images) {
  ASSIGN_OR_RETURN(ImageDataset data, OpenSplitFromFlags(split, config.class_names));
  for (const std::string& warning : data.warnings) {
    std::cerr << "diffusion-eval: warning: " << warning << std::endl;
  }
  const UNetConfig& unet = config.unet;
  if (data.channels != unet.in_channels || data.height != unet.sample_height ||
      data.width != unet.sample_width) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--data has images of ", data.channels, "x", data.height, "x", data.width,
        "; the model draws ", unet.in_channels, "x", unet.sample_height, "x", unet.sample_width));
  }
  if (max_images <= 0 || max_images >= data.size()) return data;
  return Select(data, EvenlySpread(data.size(), max_images));
}

absl::StatusOr<EvaluationInput> OpenEvaluationInput(int64_t default_images) {
  ASSIGN_OR_RETURN(std::filesystem::path out, RequireFlags());
  ASSIGN_OR_RETURN(DatasetSplit split, SplitFromFlags());
  ASSIGN_OR_RETURN(int micro_batch, MicroBatchFromFlags());
  const int64_t asked = absl::GetFlag(FLAGS_images);
  if (asked < -1) {
    return absl::InvalidArgumentError(
        absl::StrCat("--images is ", asked, "; it must be -1, 0 or more"));
  }
  ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(absl::GetFlag(FLAGS_checkpoint)));
  const CheckpointConfig& config = checkpoint.config();
  ASSIGN_OR_RETURN(ModelSchedule model, MakeModelSchedule(config.scheduler));
  ASSIGN_OR_RETURN(ImageDataset data,
                   OpenSplit(config, split, asked == -1 ? default_images : asked));
  bool by_class = false;
  ASSIGN_OR_RETURN(std::vector<int64_t> labels, ChooseLabels(config, data, &by_class));

  const std::string condition = by_class ? "each with its class" : "without class";
  const uint64_t seed = absl::GetFlag(FLAGS_seed);
  std::string description = absl::StrCat(
      std::filesystem::path(absl::GetFlag(FLAGS_data)).lexically_normal().filename().string(), ": ",
      data.size(), " images of the ", absl::GetFlag(FLAGS_split), " split, ", condition, ", seed ",
      seed);
  std::string fingerprint =
      absl::StrCat("model ", checkpoint.digest(), ", data ", data.digest, ", ", condition,
                   ", seed ", seed, ", micro-batch ", micro_batch);
  return EvaluationInput{std::move(out),        std::move(checkpoint), std::move(model),
                         std::move(data),       std::move(labels),     std::move(description),
                         std::move(fingerprint)};
}

absl::Status WritePngFile(const std::filesystem::path& path, const Image& image) {
  ASSIGN_OR_RETURN(std::string png, EncodePng(image));
  return ReplaceFile(path, png);
}

bool OutputIsTerminal() { return isatty(STDOUT_FILENO) == 1; }

}  // namespace diffusiond
