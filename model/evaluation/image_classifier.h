// A small classifier of the training data's classes: what the class of a drawn image is judged by.
#ifndef DIFFUSIOND_MODEL_EVALUATION_IMAGE_CLASSIFIER_H_
#define DIFFUSIOND_MODEL_EVALUATION_IMAGE_CLASSIFIER_H_

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint/tensor_view.h"
#include "model/evaluation/image_features.h"
#include "model/imaging/image.h"
#include "model/training/data/dataset.h"

namespace diffusiond {

struct ClassifierOptions {
  int64_t epochs = 20;
  int64_t batch_size = 64;
  double learning_rate = 1e-3;
  uint64_t seed = 0;
};

// Three strided 3x3 convolutions of 32, 64 and 128 channels, each with batch normalisation and
// ReLU, then a linear layer over what is left. Single-threaded, but for what LibTorch does inside.
class ImageClassifier {
 public:
  // Trains on `data`, which must be labelled, with cross entropy and Adam; images are shifted by up
  // to two pixels.
  static std::unique_ptr<ImageClassifier> Train(const ImageDataset& data,
                                                const ClassifierOptions& options);

  // The classifier kept at `path`, or if there is none, one trained and kept there.
  // FAILED_PRECONDITION: what is there is another data's, or options'.
  static absl::StatusOr<std::unique_ptr<ImageClassifier>> TrainOrLoad(
      const ImageDataset& data, const ClassifierOptions& options,
      const std::filesystem::path& path);

  // What training depends on.
  static std::string Identity(const ImageDataset& data, const ClassifierOptions& options);

  // 128 features, the last convolution's channels after pooling, on average over pixels; and the
  // logarithms of class probabilities.
  ImageFeatures Features(std::span<const Frame> images);

  // Most likely class of each image.
  std::vector<int64_t> Classify(const std::vector<Frame>& images);

  // Share of `data`'s images put into their own class.
  double Accuracy(const ImageDataset& data);

 private:
  ImageClassifier(int channels, int64_t height, int64_t width, int64_t classes);
  // Of `data`'s shape and classes, not trained.
  static std::unique_ptr<ImageClassifier> For(const ImageDataset& data);

  torch::Tensor Scores(const torch::Tensor& x);  // [N, C, H, W] -> logits [N, classes].
  TensorMap Weights() const;                     // Views.

  torch::nn::Sequential convolutions_, head_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_IMAGE_CLASSIFIER_H_
