// Training images in memory.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_DATASET_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_DATASET_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "model/imaging/image.h"

namespace diffusiond {

// Images are held as bytes, all of them, so that a training step waits for no disk. What would be
// larger than a limit, this one if none is given, is refused before it is read. 50,000 CIFAR images
// are 0.15 GB.
inline constexpr int64_t kMaxDatasetBytes = int64_t{8} << 30;

// An image of which a window of the data set's size is to be drawn anew each time.
struct UncroppedImage {
  int height = 0;
  int width = 0;
  std::vector<uint8_t> pixels;  // [C, height, width].
};

// Plain data; reading from several threads is safe. Readers never give one without images.
struct ImageDataset {
  int channels = 0;                      // 1 (grey) or 3 (RGB).
  int height = 0;                        // In pixels.
  int width = 0;                         // In pixels.
  std::vector<uint8_t> pixels;           // [N, C, H, W].
  std::vector<int32_t> labels;           // [N], each in [0, class_names.size()). Empty: unlabelled.
  std::vector<std::string> class_names;  // Empty if unlabelled.
  std::vector<UncroppedImage> uncropped = {};  // [N], whose middles are `pixels`; or empty.
  std::string digest;                          // DigestOf(*this).
  std::vector<std::string> warnings = {};      // For people: what was left out of it, a line each.
  // Labels were made of the names, in their order; else they are numbers that the data has.
  bool numbered_by_name = false;

  int64_t image_bytes() const { return int64_t{channels} * height * width; }
  int64_t size() const;
  // Image `index`, in [0, size()), as [C, H, W] bytes.
  std::span<const uint8_t> image(int64_t index) const;
};

// SHA-256, in lower-case hexadecimal, over the text "N C H W\n" (decimal), the pixels, the labels
// as little-endian int32, and what is uncropped. Class names do not count: they do not change what
// is learned.
std::string DigestOf(const ImageDataset& dataset);

// Image `index` for an encoder or a contact sheet.
Image ImageAt(const ImageDataset& dataset, int64_t index);

// The images at `indices`, in that order, with their labels and all class names; the digest is the
// selection's own.
ImageDataset Select(const ImageDataset& dataset, std::span<const int64_t> indices);

// Leaves the images at `indices` (ascending, none twice) alone: Select without a second copy in
// memory.
void KeepOnly(std::span<const int64_t> indices, ImageDataset* dataset);

// `count` of `size` indices, spread evenly and ascending: floor(i * size / count). A data set
// sorted by class keeps its classes' shares this way. All of them if `count` is 0, less, or over
// `size`.
std::vector<int64_t> EvenlySpread(int64_t size, int64_t count);

// ResourceExhausted if `count` images of the shape take more than `max_bytes`.
absl::Status CheckDatasetBytes(int64_t count, int channels, int height, int width,
                               int64_t max_bytes);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_DATASET_H_
