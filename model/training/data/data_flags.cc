#include "model/training/data/data_flags.h"

#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "model/status/status_macros.h"
#include "model/training/data/hold_out.h"
#include "model/training/data/labels.h"
#include "model/training/data/model_classes.h"
#include "model/training/data/open_dataset.h"

ABSL_FLAG(std::string, data, "", "images: idx, CIFAR-10 binary, or a folder of PNG, JPEG and WebP");
ABSL_FLAG(
    std::string, labels_csv, "",
    "labels of a folder of images: a CSV table with the columns file and label, or JSON lines; "
    "unless given, the folder's labels.csv, metadata.csv or metadata.jsonl");
ABSL_FLAG(std::vector<std::string>, class_names, {}, "names of the classes, in label order");
ABSL_FLAG(bool, unconditional, false, "leave the data's labels out: a model without classes");
ABSL_FLAG(int64_t, max_images, 0, "use at most this many images, evenly spread; 0: all");
ABSL_FLAG(double, max_data_gib, 8,
          "most memory, in GiB, that a split's images may take: all are held in memory, a byte a "
          "pixel and channel; what would take more is refused");
ABSL_FLAG(int, resolution, 0,
          "resize a folder's images so that the smaller side has so many pixels; 0: as they are, "
          "all of one size");
ABSL_FLAG(bool, center_crop, false,
          "with --resolution: of an image that is not square, the middle");
ABSL_FLAG(
    bool, random_crop, false,
    "with --resolution: the same to measure on, and for training another part of it each time, "
    "by the seed and the step");
ABSL_FLAG(
    std::string, image_cache, "",
    "with --resolution: a directory where resized images are kept, outside --data, so that the "
    "next start need not decode photos again; empty: none");
ABSL_FLAG(double, max_skipped_share, 0.05,
          "share of a folder's images, 0 .. 1, that may be left out, as not readable or not in its "
          "table of labels: they are named; more is refused");
ABSL_FLAG(double, held_out, 0.05,
          "share of the images kept for measuring where the data has no test split, 0 .. 0.5");
ABSL_FLAG(uint64_t, held_out_seed, 0, "which images --held_out keeps");

namespace diffusiond {
namespace {

constexpr double kManyGib = 65536;

// Whether `path` is `folder` or in it.
bool LiesIn(const std::filesystem::path& path, const std::filesystem::path& folder) {
  std::error_code error;
  const auto whole = [&error](const std::filesystem::path& name) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(name), error);
  };
  const std::filesystem::path below = whole(path).lexically_relative(whole(folder));
  return !error && !below.empty() && *below.begin() != "..";
}

absl::Status CheckImageCache(int resolution) {
  const std::string cache = absl::GetFlag(FLAGS_image_cache);
  if (cache.empty()) return absl::OkStatus();
  if (resolution == 0) return absl::InvalidArgumentError("--image_cache needs --resolution");
  if (!LiesIn(cache, absl::GetFlag(FLAGS_data))) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--image_cache=", cache, " lies in --data, where its images would be trained on"));
}

absl::Status CheckFlags() {
  if (absl::GetFlag(FLAGS_data).empty()) return absl::InvalidArgumentError("--data is required");
  const double share = absl::GetFlag(FLAGS_held_out);
  if (!(share >= 0 && share <= 0.5)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--held_out is ", share, "; it must be 0 .. 0.5"));
  }
  const double skipped = absl::GetFlag(FLAGS_max_skipped_share);
  if (!(skipped >= 0 && skipped <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--max_skipped_share is ", skipped, "; it must be 0 .. 1"));
  }
  if (const int64_t images = absl::GetFlag(FLAGS_max_images); images < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--max_images is ", images, "; it must be 0 (all) or more"));
  }
  const int resolution = absl::GetFlag(FLAGS_resolution);
  if (resolution < 0 || resolution > kMaxImageSide) {
    return absl::InvalidArgumentError(
        absl::StrCat("--resolution is ", resolution, "; it must be 0 .. ", kMaxImageSide));
  }
  const bool center = absl::GetFlag(FLAGS_center_crop);
  const bool random = absl::GetFlag(FLAGS_random_crop);
  if (center && random) {
    return absl::InvalidArgumentError("--center_crop and --random_crop exclude each other");
  }
  if (resolution == 0 && (center || random)) {
    return absl::InvalidArgumentError(
        absl::StrCat(center ? "--center_crop" : "--random_crop", " needs --resolution"));
  }
  RETURN_IF_ERROR(CheckImageCache(resolution));
  const double most = absl::GetFlag(FLAGS_max_data_gib);
  if (!(most > 0 && most <= kManyGib)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--max_data_gib is ", most, "; it must be above 0, up to ", kManyGib));
  }
  return absl::OkStatus();
}

// A split of the data itself. `class_names`: of the classes that its labels may be, where
// --class_names does not say; empty: as the data does.
absl::StatusOr<ImageDataset> Open(DatasetSplit split, const std::vector<std::string>& class_names) {
  DatasetSpec spec;
  spec.path = absl::GetFlag(FLAGS_data);
  spec.split = split;
  if (!absl::GetFlag(FLAGS_labels_csv).empty()) spec.labels_csv = absl::GetFlag(FLAGS_labels_csv);
  spec.class_names = absl::GetFlag(FLAGS_class_names);
  if (spec.class_names.empty()) spec.class_names = class_names;
  spec.max_images = absl::GetFlag(FLAGS_max_images);
  spec.max_bytes = static_cast<int64_t>(absl::GetFlag(FLAGS_max_data_gib) * (1 << 30));
  spec.resolution = absl::GetFlag(FLAGS_resolution);
  if (absl::GetFlag(FLAGS_center_crop)) spec.crop = Crop::kCenter;
  if (absl::GetFlag(FLAGS_random_crop)) spec.crop = Crop::kRandom;
  spec.cache = absl::GetFlag(FLAGS_image_cache);
  spec.max_left_out = absl::GetFlag(FLAGS_max_skipped_share);
  absl::StatusOr<ImageDataset> data = OpenDataset(spec);
  if (absl::IsFailedPrecondition(data.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat(data.status().message(),
                     "; that is more than --max_skipped_share=", spec.max_left_out, " allows"));
  }
  if (absl::IsResourceExhausted(data.status())) {
    return absl::ResourceExhaustedError(
        absl::StrCat(data.status().message(), "; --max_data_gib allows more"));
  }
  if (data.ok() && absl::GetFlag(FLAGS_unconditional)) {
    data->labels.clear();
    data->class_names.clear();
  }
  return data;
}

// Whether numbers that stand in the data's files are taken for the model's: where the names beside
// them, if there are any, are not all the model's.
bool KeepsItsNumbers(const ImageDataset& data, const std::vector<std::string>& class_names) {
  if (data.numbered_by_name || !absl::GetFlag(FLAGS_class_names).empty()) return false;
  return !AreAllIn(class_names, data.class_names);
}

HeldOut HoldOutByFlags(ImageDataset train) {
  const double count = absl::GetFlag(FLAGS_held_out) * static_cast<double>(train.size());
  return HoldOut(std::move(train), static_cast<int64_t>(count), absl::GetFlag(FLAGS_held_out_seed));
}

// By the training split's names, which is opened only if it must be: a class may be missing in test
// labels that are bare numbers.
absl::StatusOr<ImageDataset> OpenTest() {
  absl::StatusOr<ImageDataset> test = Open(DatasetSplit::kTest, {});
  if (!absl::IsInvalidArgument(test.status())) return test;
  const absl::StatusOr<ImageDataset> train = Open(DatasetSplit::kTrain, {});
  if (!train.ok() || train->class_names.empty()) return test;
  return Open(DatasetSplit::kTest, train->class_names);
}

absl::StatusOr<ImageDataset> OpenSplit(DatasetSplit split) {
  absl::StatusOr<ImageDataset> test = OpenTest();
  if (!test.ok() && !absl::IsOutOfRange(test.status())) return test;
  if (test.ok() && split == DatasetSplit::kTest) return test;
  absl::StatusOr<ImageDataset> train = Open(DatasetSplit::kTrain, {});
  if (!train.ok() || test.ok()) return train;
  HeldOut parts = HoldOutByFlags(*std::move(train));
  if (split == DatasetSplit::kTrain) return std::move(parts.train);
  parts.held_out.warnings = std::move(parts.train.warnings);
  if (parts.held_out.size() > 0) return std::move(parts.held_out);
  return absl::NotFoundError("--data has no test split, and --held_out keeps no image");
}

}  // namespace

absl::StatusOr<TrainingData> OpenDataFromFlags() {
  RETURN_IF_ERROR(CheckFlags());
  ASSIGN_OR_RETURN(ImageDataset train, Open(DatasetSplit::kTrain, {}));
  absl::StatusOr<ImageDataset> test = Open(DatasetSplit::kTest, train.class_names);
  // Of the same classes, though some may be missing in it.
  if (test.ok()) {
    std::error_code error;
    if (std::filesystem::is_regular_file(absl::GetFlag(FLAGS_data), error)) {
      train.warnings.push_back(
          absl::StrCat(absl::GetFlag(FLAGS_data),
                       ": one file is both what is trained on and what is measured on; --held_out "
                       "keeps none of it"));
    }
    return TrainingData{std::move(train), *std::move(test)};
  }
  if (!absl::IsOutOfRange(test.status())) return test.status();
  HeldOut parts = HoldOutByFlags(std::move(train));
  return TrainingData{std::move(parts.train), std::move(parts.held_out)};
}

absl::StatusOr<ImageDataset> OpenSplitFromFlags(DatasetSplit split,
                                                const std::vector<std::string>& class_names) {
  RETURN_IF_ERROR(CheckFlags());
  ASSIGN_OR_RETURN(ImageDataset data, OpenSplit(split));
  if (KeepsItsNumbers(data, class_names)) {
    if (!data.labels.empty() && data.class_names.size() <= class_names.size()) {
      data.class_names = class_names;
    }
    return data;
  }
  RETURN_IF_ERROR(NumberAsModel(class_names, &data));
  return data;
}

}  // namespace diffusiond
