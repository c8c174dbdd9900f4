#include "model/training/data/dataset.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/files/sha256.h"

namespace diffusiond {
namespace {

double GiB(double bytes) { return bytes / (1 << 30); }

}  // namespace

int64_t ImageDataset::size() const {
  return image_bytes() == 0 ? 0 : static_cast<int64_t>(pixels.size()) / image_bytes();
}

std::span<const uint8_t> ImageDataset::image(int64_t index) const {
  return std::span(pixels).subspan(index * image_bytes(), image_bytes());
}

std::string DigestOf(const ImageDataset& dataset) {
  Sha256 sha;
  sha.Update(absl::StrCat(dataset.size(), " ", dataset.channels, " ", dataset.height, " ",
                          dataset.width, "\n"));
  sha.Update(std::as_bytes(std::span(dataset.pixels)));
  std::vector<uint8_t> label_bytes;
  label_bytes.reserve(dataset.labels.size() * 4);
  for (const int32_t label : dataset.labels) {
    for (int shift = 0; shift < 32; shift += 8) {
      label_bytes.push_back(static_cast<uint8_t>(static_cast<uint32_t>(label) >> shift));
    }
  }
  sha.Update(std::as_bytes(std::span(label_bytes)));
  for (const UncroppedImage& image : dataset.uncropped) {
    sha.Update(absl::StrCat(image.height, " ", image.width, "\n"));
    sha.Update(std::as_bytes(std::span(image.pixels)));
  }
  return sha.FinishHex();
}

Image ImageAt(const ImageDataset& dataset, int64_t index) {
  const std::span<const uint8_t> planes = dataset.image(index);
  Image image{.width = dataset.width,
              .height = dataset.height,
              .channels = dataset.channels,
              .pixels = std::vector<uint8_t>(planes.size())};
  const size_t plane = size_t(dataset.width) * dataset.height;
  for (int channel = 0; channel < dataset.channels; ++channel) {
    for (size_t i = 0; i < plane; ++i) {
      image.pixels[i * dataset.channels + channel] = planes[channel * plane + i];
    }
  }
  return image;
}

ImageDataset Select(const ImageDataset& dataset, std::span<const int64_t> indices) {
  ImageDataset selected{.channels = dataset.channels,
                        .height = dataset.height,
                        .width = dataset.width,
                        .pixels = {},
                        .labels = {},
                        .class_names = dataset.class_names,
                        .digest = {},
                        .numbered_by_name = dataset.numbered_by_name};
  selected.pixels.reserve(indices.size() * dataset.image_bytes());
  for (const int64_t index : indices) {
    const std::span<const uint8_t> image = dataset.image(index);
    selected.pixels.insert(selected.pixels.end(), image.begin(), image.end());
    if (!dataset.labels.empty()) selected.labels.push_back(dataset.labels[index]);
    if (!dataset.uncropped.empty()) selected.uncropped.push_back(dataset.uncropped[index]);
  }
  selected.digest = DigestOf(selected);
  return selected;
}

void KeepOnly(std::span<const int64_t> indices, ImageDataset* dataset) {
  const int64_t bytes = dataset->image_bytes();
  const auto pixels = dataset->pixels.begin();
  for (size_t i = 0; i < indices.size(); ++i) {
    const auto to = static_cast<int64_t>(i);
    if (indices[i] == to) continue;
    std::copy_n(pixels + indices[i] * bytes, bytes, pixels + to * bytes);
    if (!dataset->labels.empty()) dataset->labels[i] = dataset->labels[indices[i]];
    if (!dataset->uncropped.empty()) {
      dataset->uncropped[i] = std::move(dataset->uncropped[indices[i]]);
    }
  }
  dataset->pixels.resize(indices.size() * static_cast<size_t>(bytes));
  if (!dataset->labels.empty()) dataset->labels.resize(indices.size());
  if (!dataset->uncropped.empty()) dataset->uncropped.resize(indices.size());
  dataset->digest = DigestOf(*dataset);
}

std::vector<int64_t> EvenlySpread(int64_t size, int64_t count) {
  if (count <= 0 || count > size) count = size;
  std::vector<int64_t> indices(count);
  for (int64_t i = 0; i < count; ++i) indices[i] = i * size / count;
  return indices;
}

absl::Status CheckDatasetBytes(int64_t count, int channels, int height, int width,
                               int64_t max_bytes) {
  const int64_t image_bytes = int64_t{channels} * height * width;
  if (count > max_bytes / image_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("data set of %d images of %d x %d x %d takes %.3g GiB of memory, more than "
                        "the limit of %.3g GiB",
                        count, width, height, channels,
                        GiB(static_cast<double>(image_bytes) * static_cast<double>(count)),
                        GiB(static_cast<double>(max_bytes))));
  }
  return absl::OkStatus();
}

}  // namespace diffusiond
