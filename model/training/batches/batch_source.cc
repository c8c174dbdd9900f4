#include "model/training/batches/batch_source.h"

#include <array>
#include <cmath>
#include <span>
#include <utility>

#include "model/sampling/philox.h"
#include "model/sampling/row_noise.h"

namespace diffusiond {
namespace {

// Streams of Philox that training uses; 0 is sampling's.
constexpr uint32_t kNoiseStream = 1;
constexpr uint32_t kDrawStream = 2;
constexpr uint32_t kHeldOutNoiseStream = 3;
constexpr uint32_t kStrataStream = 4;

constexpr double kUnit = 1.0 / 4294967296.0;  // 2^-32

void Resize(const ImageDataset& data, int64_t count, TrainingBatch* batch) {
  batch->channels = data.channels;
  batch->height = data.height;
  batch->width = data.width;
  const int64_t elements = batch->channels * batch->height * batch->width;
  batch->images.resize(static_cast<size_t>(count * elements));
  batch->noise.resize(static_cast<size_t>(count * elements));
  batch->levels.resize(static_cast<size_t>(count));
  batch->timesteps.resize(static_cast<size_t>(count));
  batch->weights.assign(static_cast<size_t>(count), 1);
  batch->labels.resize(static_cast<size_t>(count));
  batch->indices.resize(static_cast<size_t>(count));
}

// Planes of bytes, of which a window is read.
struct Window {
  const uint8_t* pixels = nullptr;  // At its upper left.
  size_t row = 0;                   // Bytes from a row to the next,
  size_t plane = 0;                 // and from a plane.
};

Window Whole(const ImageDataset& data, int64_t index) {
  return {data.image(index).data(), static_cast<size_t>(data.width),
          static_cast<size_t>(data.width) * static_cast<size_t>(data.height)};
}

// One of all windows of the data's size, each as probable, by 16 bits of `draw` a direction.
Window Drawn(const ImageDataset& data, int64_t index, uint32_t draw) {
  if (data.uncropped.empty()) return Whole(data, index);
  const UncroppedImage& image = data.uncropped[static_cast<size_t>(index)];
  const auto width = static_cast<size_t>(image.width);
  const size_t tops = static_cast<size_t>(image.height - data.height) + 1;
  const size_t lefts = width - static_cast<size_t>(data.width) + 1;
  const size_t top = (draw >> 16) * tops >> 16;
  const size_t left = (draw & 0xffff) * lefts >> 16;
  return {image.pixels.data() + top * width + left, width,
          width * static_cast<size_t>(image.height)};
}

void CopyImage(const ImageDataset& data, const Window& window, bool flip, std::span<float> out) {
  const auto width = static_cast<size_t>(data.width);
  size_t at = 0;
  for (int channel = 0; channel < data.channels; ++channel) {
    for (int y = 0; y < data.height; ++y) {
      const uint8_t* row = window.pixels + static_cast<size_t>(channel) * window.plane +
                           static_cast<size_t>(y) * window.row;
      for (size_t x = 0; x < width; ++x) {
        out[at++] = static_cast<float>(row[flip ? width - 1 - x : x]) / 127.5f - 1;
      }
    }
  }
}

int64_t TimestepAt(double level, int64_t num_train_timesteps) {
  return static_cast<int64_t>(level * static_cast<double>(num_train_timesteps));
}

}  // namespace

BatchSource::BatchSource(const ImageDataset* data, const BatchOptions& options)
    : data_(data), options_(options), order_(data->size(), options.seed) {}

void BatchSource::FillRows(int64_t step, int64_t begin, int64_t count, TrainingBatch* batch) {
  Resize(*data_, count, batch);
  const std::array<uint32_t, 2> key = {static_cast<uint32_t>(options_.seed),
                                       static_cast<uint32_t>(options_.seed >> 32)};
  const double first_level =
      Philox4x32({0, static_cast<uint32_t>(step), 0, kStrataStream}, key)[0] * kUnit;
  const size_t n = static_cast<size_t>(data_->image_bytes());
  for (int64_t i = begin; i < begin + count; ++i) {
    const size_t at = static_cast<size_t>(i - begin);
    const int64_t index = order_.At(step * options_.batch_size + i);
    batch->indices[at] = index;
    const std::array<uint32_t, 4> draw =
        Philox4x32({0, static_cast<uint32_t>(step), static_cast<uint32_t>(i), kDrawStream}, key);
    batch->levels[at] = draw[0] * kUnit;
    if (options_.timestep_sampling == TimestepSampling::kStratified) {
      const double stratum = static_cast<double>(i) / static_cast<double>(options_.batch_size);
      batch->levels[at] = std::fmod(first_level + stratum, 1.0);
    }
    batch->timesteps[at] = TimestepAt(batch->levels[at], options_.num_train_timesteps);
    const bool flip = options_.flip && (draw[1] & 1) != 0;
    const bool dropped = draw[2] * kUnit < options_.label_dropout;
    const int64_t label = data_->labels.empty() ? 0 : data_->labels[static_cast<size_t>(index)];
    batch->labels[at] = dropped ? options_.null_label : label;
    CopyImage(*data_, Drawn(*data_, index, draw[3]), flip,
              std::span(batch->images).subspan(at * n, n));
    FillRowNoise(options_.seed, static_cast<uint32_t>(i), static_cast<uint32_t>(step),
                 std::span(batch->noise).subspan(at * n, n), kNoiseStream);
  }
}

void DrawByImportance(std::span<const float> history, TrainingBatch* batch) {
  WeightedTimesteps drawn = DrawByImportance(ImportanceProbabilities(history), batch->levels);
  batch->timesteps = std::move(drawn.timesteps);
  batch->weights = std::move(drawn.weights);
}

void FillHeldOutBatch(const ImageDataset& data, int64_t begin, int64_t count,
                      int64_t num_train_timesteps, uint64_t seed, TrainingBatch* batch) {
  Resize(data, count, batch);
  const size_t n = static_cast<size_t>(data.image_bytes());
  for (int64_t i = 0; i < count; ++i) {
    const size_t at = static_cast<size_t>(i);
    const int64_t index = begin + i;
    batch->indices[at] = index;
    // The golden ratio's multiples fill 0 .. 1 evenly from any start.
    constexpr double kGoldenRatio = 0.61803398874989485;
    batch->levels[at] = std::fmod((static_cast<double>(index) + 0.5) * kGoldenRatio, 1.0);
    batch->timesteps[at] = TimestepAt(batch->levels[at], num_train_timesteps);
    batch->labels[at] = data.labels.empty() ? 0 : data.labels[static_cast<size_t>(index)];
    CopyImage(data, Whole(data, index), false, std::span(batch->images).subspan(at * n, n));
    FillRowNoise(seed, static_cast<uint32_t>(index), 0, std::span(batch->noise).subspan(at * n, n),
                 kHeldOutNoiseStream);
  }
}

}  // namespace diffusiond
