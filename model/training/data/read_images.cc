#include "model/training/data/read_images.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/files/file_status.h"
#include "model/files/mapped_file.h"
#include "model/imaging/decode.h"
#include "model/imaging/resample.h"
#include "model/status/status_macros.h"
#include "model/training/data/file_text.h"
#include "model/training/data/image_cache.h"

namespace diffusiond {
namespace {

// [N, 1, H, W] to [N, 3, H, W], a plane of so many bytes.
std::vector<uint8_t> Tripled(const std::vector<uint8_t>& grey, size_t plane) {
  std::vector<uint8_t> rgb;
  rgb.reserve(grey.capacity() * 3);
  for (auto start = grey.begin(); start != grey.end(); start += static_cast<ptrdiff_t>(plane)) {
    for (int channel = 0; channel < 3; ++channel) {
      rgb.insert(rgb.end(), start, start + static_cast<ptrdiff_t>(plane));
    }
  }
  return rgb;
}

// Grey and colour in one data set: every grey image becomes RGB.
void ExpandToRgb(ImageDataset* dataset) {
  dataset->pixels = Tripled(dataset->pixels, static_cast<size_t>(dataset->image_bytes()));
  for (UncroppedImage& image : dataset->uncropped) {
    image.pixels = Tripled(image.pixels, image.pixels.size());
  }
  dataset->channels = 3;
}

void AppendPlanes(const Image& image, int channels, std::vector<uint8_t>* planes) {
  const size_t plane = size_t(image.width) * image.height;
  for (int channel = 0; channel < channels; ++channel) {
    const uint8_t* from = image.pixels.data() + (image.channels == 1 ? 0 : channel);
    for (size_t i = 0; i < plane; ++i) planes->push_back(from[i * image.channels]);
  }
}

// Reads one image after another.
class Reading {
 public:
  Reading(const ImageList& list, const ReadOptions& options)
      : list_(list), options_(options), cache_(options.cache, options.resolution) {
    left_out_ = list.left_out;
    dataset_.class_names = list.class_names;
    dataset_.numbered_by_name = list.numbered_by_name;
  }

  // What cannot be decoded is left out; of images of other sizes nothing but the size is kept.
  absl::Status Add(size_t index) {
    const std::filesystem::path& path = list_.files[index];
    std::string name = path.lexically_relative(list_.folder).string();
    std::optional<Image> kept = caches() ? cache_.Find(path) : std::nullopt;
    if (!kept.has_value()) {
      ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
      absl::StatusOr<Image> decoded = DecodeImage(TextOf(file));
      if (!decoded.ok()) {
        left_out_.push_back({std::move(name), std::string(decoded.status().message())});
        return absl::OkStatus();
      }
      kept = Resized(path, *std::move(decoded));
    }
    Image* const image = &*kept;
    std::optional<Image> uncropped;
    if (options_.crop == Crop::kRandom) uncropped = *image;
    if (options_.crop != Crop::kNone) {
      *image = CenterCrop(*image, options_.resolution, options_.resolution);
    }
    SizeSeen& seen = sizes_[{image->width, image->height}];
    if (++seen.count <= static_cast<int64_t>(kMostNamed)) seen.names.push_back(std::move(name));
    if (sizes_.size() > 1) return absl::OkStatus();
    if (absl::Status status = Append(*image); !status.ok()) return InFile(path, status);
    if (!list_.labels.empty()) dataset_.labels.push_back(list_.labels[index]);
    if (!uncropped.has_value()) return absl::OkStatus();
    return InFile(path, Keep(*uncropped));
  }

  absl::StatusOr<ImageDataset> Finish() && {
    const auto found = static_cast<int64_t>(list_.files.size() + list_.left_out.size());
    if (sizes_.size() > 1) return InFile(list_.folder, DifferentSizes());
    if (absl::Status status = CheckLeftOut(left_out_, found, options_.max_left_out); !status.ok()) {
      return InFile(list_.folder, status);
    }
    if (!left_out_.empty()) dataset_.warnings.push_back(Describe(left_out_, found));
    return std::move(dataset_);
  }

 private:
  struct SizeSeen {
    int64_t count = 0;
    std::vector<std::string> names;
  };

  bool caches() const { return !options_.cache.empty() && options_.resolution > 0; }

  Image Resized(const std::filesystem::path& path, Image image) {
    if (options_.resolution == 0) return image;
    image = ResampleSmallerSide(image, options_.resolution);
    if (!caches() || !cache_works_) return image;
    if (absl::Status status = cache_.Keep(path, image); !status.ok()) {
      cache_works_ = false;
      dataset_.warnings.push_back(absl::StrCat("resized images are not kept: ", status.message()));
    }
    return image;
  }

  absl::Status Append(const Image& image) {
    const bool first = dataset_.pixels.empty();
    const auto count = static_cast<int64_t>(list_.files.size());
    const bool turns_rgb = !first && image.channels > dataset_.channels;
    if (first) {
      dataset_.channels = image.channels;
      dataset_.height = image.height;
      dataset_.width = image.width;
    }
    if (first || turns_rgb) {
      RETURN_IF_ERROR(
          CheckDatasetBytes(count, image.channels, image.height, image.width, options_.max_bytes));
    }
    if (first) dataset_.pixels.reserve(static_cast<size_t>(count * dataset_.image_bytes()));
    if (turns_rgb) ExpandToRgb(&dataset_);
    AppendPlanes(image, dataset_.channels, &dataset_.pixels);
    return absl::OkStatus();
  }

  // For windows; its channels may have to be tripled later.
  absl::Status Keep(const Image& image) {
    UncroppedImage kept{.height = image.height, .width = image.width, .pixels = {}};
    AppendPlanes(image, dataset_.channels, &kept.pixels);
    uncropped_area_ += int64_t{image.height} * image.width;
    dataset_.uncropped.push_back(std::move(kept));
    const int64_t bytes = uncropped_area_ * dataset_.channels +
                          static_cast<int64_t>(list_.files.size()) * dataset_.image_bytes();
    if (bytes <= options_.max_bytes) return absl::OkStatus();
    return absl::ResourceExhaustedError(
        absl::StrCat("the data set and what is around its windows take more than the limit of ",
                     options_.max_bytes, " bytes of memory"));
  }

  // The size that most have comes first, without names; of the others each file is a wrong one.
  absl::Status DifferentSizes() const {
    std::vector<std::pair<std::pair<int, int>, SizeSeen>> sizes(sizes_.begin(), sizes_.end());
    std::stable_sort(sizes.begin(), sizes.end(),
                     [](const auto& a, const auto& b) { return a.second.count > b.second.count; });
    const auto size_of = [](const auto& seen) {
      return absl::StrCat(seen.first.first, " x ", seen.first.second);
    };
    std::vector<LeftOut> others;
    int64_t count = 0;
    for (size_t i = 1; i < sizes.size(); ++i) {
      count += sizes[i].second.count;
      for (const std::string& name : sizes[i].second.names) {
        if (others.size() < kMostNamed) others.push_back({name, size_of(sizes[i])});
      }
    }
    const auto more = count - static_cast<int64_t>(others.size());
    std::string text =
        absl::StrCat("images are of ", sizes.size(), " sizes; ", sizes.front().second.count,
                     " are ", size_of(sizes.front()), ", not so ", NamesOf(others));
    if (more > 0) absl::StrAppend(&text, " and ", more, " more");
    absl::StrAppend(&text, options_.resolution > 0
                               ? "; --center_crop or --random_crop makes them square"
                               : "; --resolution=SIDE --center_crop brings them to one");
    if (!left_out_.empty()) absl::StrAppend(&text, "; not readable: ", NamesOf(left_out_));
    return absl::InvalidArgumentError(text);
  }

  const ImageList& list_;
  const ReadOptions options_;
  const ImageCache cache_;
  bool cache_works_ = true;
  ImageDataset dataset_;
  std::vector<LeftOut> left_out_;
  int64_t uncropped_area_ = 0;                     // In pixels.
  std::map<std::pair<int, int>, SizeSeen> sizes_;  // By width and height.
};

}  // namespace

absl::StatusOr<ImageDataset> ReadImages(const ImageList& list, const ReadOptions& options) {
  Reading reading(list, options);
  for (size_t i = 0; i < list.files.size(); ++i) {
    RETURN_IF_ERROR(reading.Add(i));
  }
  return std::move(reading).Finish();
}

}  // namespace diffusiond
