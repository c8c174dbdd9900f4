// A small classifier of the training data's classes: what drawn images are judged by where there is
// no other network.
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

// Three 3x3 convolutions of 32, 64 and 128 channels, the later ones strided, each with batch
// normalisation and ReLU, then a linear layer over what is left. Its 128 features are the last
// convolution's channels after pooling, on average over pixels. Distances compare between models
// judged by one such file, not with those that other networks give.
class ImageClassifier : public FeatureNetwork {
 public:
  // Trains on `data`, which must be labelled, with cross entropy and Adam; images are shifted by up
  // to two pixels.
  static std::unique_ptr<ImageClassifier> Train(const ImageDataset& data,
                                                const ClassifierOptions& options);

  // NOT_FOUND: no such file. INVALID_ARGUMENT: it is no classifier that Save wrote.
  static absl::StatusOr<std::unique_ptr<ImageClassifier>> Load(const std::filesystem::path& path);
  // A safetensors file, whole or not at all.
  absl::Status Save(const std::filesystem::path& path) const;

  // What it was trained on and how, and a digest of its weights.
  std::string identity() const override;
  // Those that `names` has not come after it. Bare numbers on either side stay as they are.
  absl::Status NumberAs(const std::vector<std::string>& names) override;
  absl::StatusOr<ImageFeatures> Extract(std::span<const Frame> images) override;

 private:
  struct Shape {
    int64_t channels, height, width, classes;
  };
  ImageClassifier(const Shape& shape, std::string origin, std::vector<std::string> class_names);

  torch::Tensor Scores(const torch::Tensor& x);  // [N, C, H, W] -> logits [N, classes].
  TensorMap Weights() const;                     // Views.
  void SetTraining(bool training);

  const Shape shape_;
  const std::string origin_;              // Of what data, trained how.
  std::vector<std::string> class_names_;  // None: a file that names none.
  torch::nn::Sequential convolutions_, head_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_IMAGE_CLASSIFIER_H_
