// The training batches as a function of the step number: no generator to save, nothing to replay.
#ifndef DIFFUSIOND_MODEL_TRAINING_BATCHES_BATCH_SOURCE_H_
#define DIFFUSIOND_MODEL_TRAINING_BATCHES_BATCH_SOURCE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "model/training/batches/timestep_sampling.h"
#include "model/training/data/dataset.h"
#include "model/training/data/epoch_order.h"

namespace diffusiond {

// What one step of DDPM's algorithm 1 needs, in host memory.
struct TrainingBatch {
  int64_t channels = 0, height = 0, width = 0;
  std::vector<float> images;       // x_0 [B, C, H, W] in [-1, 1].
  std::vector<float> noise;        // eps [B, C, H, W].
  std::vector<double> levels;      // [B] in [0, 1): where among the noise levels.
  std::vector<int64_t> timesteps;  // [B], 0 .. T - 1: floor(T level), unless drawn by importance.
  std::vector<int64_t> labels;     // [B]; all 0 without classes.
  std::vector<int64_t> indices;    // [B], of the images in the data set.
  std::vector<float> weights;      // [B]: of each image's loss in the mean; 1 unless by importance.

  int64_t size() const { return static_cast<int64_t>(timesteps.size()); }
};

struct BatchOptions {
  int64_t batch_size = 64;
  int64_t num_train_timesteps = 1000;
  TimestepSampling timestep_sampling = TimestepSampling::kUniform;
  uint64_t seed = 0;
  bool flip = false;         // Mirror left to right with probability 1/2.
  double label_dropout = 0;  // Probability of the null label (Ho and Salimans 2022, algorithm 1).
  int64_t null_label = 0;
};

// Image i of step s is the (s * B + i)-th of an endless shuffled stream over the data; its noise,
// level, flip, window and label dropout come from Philox at (seed, s, i); a level may be stratified
// over the batch. Drawing by importance needs what is known at step s alone, so DrawByImportance
// comes after. Thread-compatible.
class BatchSource {
 public:
  // `data` must outlive this.
  BatchSource(const ImageDataset* data, const BatchOptions& options);

  void Fill(int64_t step, TrainingBatch* batch) { FillRows(step, 0, options_.batch_size, batch); }
  // Images begin .. begin + count - 1 of the step's batch: a process's share, or a piece of it.
  void FillRows(int64_t step, int64_t begin, int64_t count, TrainingBatch* batch);

 private:
  const ImageDataset* data_;
  BatchOptions options_;
  EpochOrder order_;
};

// Replaces the batch's timesteps and weights, by its levels and the losses so far.
void DrawByImportance(std::span<const float> history, TrainingBatch* batch);

// A fixed batch to measure progress on: images begin .. begin + count - 1 of `data`, timesteps
// stratified over 0 .. T - 1, the same noise for a seed every time. No flips, the middles of
// uncropped images, no label dropout.
void FillHeldOutBatch(const ImageDataset& data, int64_t begin, int64_t count,
                      int64_t num_train_timesteps, uint64_t seed, TrainingBatch* batch);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_BATCHES_BATCH_SOURCE_H_
