#include "model/evaluation/image_classifier.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/checkpoint/file_status.h"
#include "model/checkpoint/safetensors.h"
#include "model/sampling/philox.h"
#include "model/training/data/epoch_order.h"

namespace diffusiond {
namespace {

constexpr int kMaxShift = 2;
constexpr int64_t kClassifyBatch = 256;
constexpr int64_t kFeatures = 128;

// Training images as [N, C, H, W] float32 in [-1, 1].
torch::Tensor Batch(const ImageDataset& data, const std::vector<int64_t>& indices) {
  torch::Tensor batch =
      torch::empty({static_cast<int64_t>(indices.size()), data.channels, data.height, data.width});
  float* out = batch.data_ptr<float>();
  for (int64_t index : indices) {
    for (uint8_t byte : data.image(index)) *out++ = static_cast<float>(byte) / 127.5f - 1;
  }
  return batch;
}

int64_t Halved(int64_t size) { return (size + 1) / 2; }

}  // namespace

ImageClassifier::ImageClassifier(int channels, int64_t height, int64_t width, int64_t classes) {
  int64_t in = channels;
  for (int64_t out : {int64_t{32}, int64_t{64}, kFeatures}) {
    convolutions_->push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3)
                                                   .stride(in == channels ? 1 : 2)
                                                   .padding(1)
                                                   .bias(false)));
    convolutions_->push_back(torch::nn::BatchNorm2d(out));
    convolutions_->push_back(torch::nn::ReLU());
    in = out;
  }
  convolutions_->push_back(torch::nn::MaxPool2d(torch::nn::MaxPool2dOptions(2).ceil_mode(true)));
  const int64_t pixels_left = Halved(Halved(Halved(height))) * Halved(Halved(Halved(width)));
  head_->push_back(torch::nn::Flatten());
  head_->push_back(torch::nn::Dropout(0.4));
  head_->push_back(torch::nn::Linear(in * pixels_left, classes));
}

torch::Tensor ImageClassifier::Scores(const torch::Tensor& x) {
  return head_->forward(convolutions_->forward(x));
}

std::unique_ptr<ImageClassifier> ImageClassifier::Train(const ImageDataset& data,
                                                        const ClassifierOptions& options) {
  torch::manual_seed(options.seed);
  auto classifier = For(data);
  std::vector<torch::Tensor> parameters = classifier->convolutions_->parameters();
  for (const torch::Tensor& parameter : classifier->head_->parameters()) {
    parameters.push_back(parameter);
  }
  classifier->convolutions_->train();
  classifier->head_->train();
  torch::optim::Adam optimizer(parameters, options.learning_rate);
  EpochOrder order(data.size(), options.seed);
  const int64_t steps = options.epochs * data.size() / options.batch_size;
  for (int64_t step = 0; step < steps; ++step) {
    std::vector<int64_t> indices, labels;
    for (int64_t i = 0; i < options.batch_size; ++i) {
      indices.push_back(order.At(step * options.batch_size + i));
      labels.push_back(data.labels[static_cast<size_t>(indices.back())]);
    }
    const auto random = Philox4x32({static_cast<uint32_t>(step), 0, 0, 0},
                                   {static_cast<uint32_t>(options.seed), 0});
    const int64_t dy = random[0] % (2 * kMaxShift + 1), dx = random[1] % (2 * kMaxShift + 1);
    const torch::Tensor x = torch::constant_pad_nd(Batch(data, indices),
                                                   {kMaxShift, kMaxShift, kMaxShift, kMaxShift}, -1)
                                .narrow(2, dy, data.height)
                                .narrow(3, dx, data.width);
    // The rate falls to zero along a line.
    const double left = 1 - static_cast<double>(step) / static_cast<double>(steps);
    static_cast<torch::optim::AdamOptions&>(optimizer.param_groups()[0].options())
        .lr(options.learning_rate * left);
    optimizer.zero_grad();
    torch::cross_entropy_loss(classifier->Scores(x), torch::tensor(labels)).backward();
    optimizer.step();
  }
  classifier->convolutions_->eval();
  classifier->head_->eval();
  return classifier;
}

std::unique_ptr<ImageClassifier> ImageClassifier::For(const ImageDataset& data) {
  return std::unique_ptr<ImageClassifier>(new ImageClassifier(
      data.channels, data.height, data.width, static_cast<int64_t>(data.class_names.size())));
}

TensorMap ImageClassifier::Weights() const {
  TensorMap views;
  const auto add = [&](const std::string& part, const torch::nn::Sequential& network) {
    for (const auto& list : {network->named_parameters(), network->named_buffers()}) {
      for (const auto& item : list) {
        const torch::Tensor& tensor = item.value();
        if (tensor.scalar_type() != torch::kFloat32) continue;  // A count of batches.
        views[part + item.key()] =
            TensorView{.dtype = Dtype::kF32,
                       .shape = tensor.sizes().vec(),
                       .data = std::as_bytes(std::span(tensor.data_ptr<float>(),
                                                       static_cast<size_t>(tensor.numel())))};
      }
    }
  };
  add("convolutions.", convolutions_);
  add("head.", head_);
  return views;
}

absl::StatusOr<std::unique_ptr<ImageClassifier>> ImageClassifier::TrainOrLoad(
    const ImageDataset& data, const ClassifierOptions& options, const std::filesystem::path& path) {
  constexpr char kFingerprintKey[] = "fingerprint";
  const std::string fingerprint = Identity(data, options);
  absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Open(path);
  if (absl::IsNotFound(file.status())) {
    auto classifier = Train(data, options);
    absl::Status status =
        WriteSafetensors(path, classifier->Weights(), {{kFingerprintKey, fingerprint}});
    if (!status.ok()) return status;
    return classifier;
  }
  if (!file.ok()) return file.status();
  auto classifier = For(data);
  const auto found = file->metadata().find(kFingerprintKey);
  const TensorMap weights = classifier->Weights();
  bool fits = found != file->metadata().end() && found->second == fingerprint &&
              weights.size() == file->tensors().size();
  for (const auto& [name, view] : weights) {
    const auto stored = file->tensors().find(name);
    fits = fits && stored != file->tensors().end() && stored->second.shape == view.shape &&
           stored->second.dtype == view.dtype;
    // The views are of this classifier's own tensors.
    if (fits)
      std::memcpy(const_cast<std::byte*>(view.data.data()), stored->second.data.data(),
                  view.data.size());
  }
  if (!fits) {
    return InFile(path, absl::FailedPreconditionError("it is not this data's classifier"));
  }
  classifier->convolutions_->eval();
  classifier->head_->eval();
  return classifier;
}

std::string ImageClassifier::Identity(const ImageDataset& data, const ClassifierOptions& options) {
  return absl::StrCat("classifier of ", data.digest, ", ", options.epochs, " epochs of ",
                      options.batch_size, ", learning rate ", options.learning_rate, ", seed ",
                      options.seed);
}

ImageFeatures ImageClassifier::Features(std::span<const Frame> images) {
  torch::NoGradGuard no_grad;
  ImageFeatures features;
  for (size_t begin = 0; begin < images.size(); begin += kClassifyBatch) {
    const auto part =
        images.subspan(begin, std::min<size_t>(kClassifyBatch, images.size() - begin));
    std::vector<float> values;
    for (const Frame& frame : part) {
      values.insert(values.end(), frame.values.begin(), frame.values.end());
    }
    const Frame& first = part.front();
    const torch::Tensor x =
        torch::from_blob(values.data(), {static_cast<int64_t>(part.size()), first.channels,
                                         first.height, first.width})
            .clamp(-1, 1);
    const torch::Tensor maps = convolutions_->forward(x);
    const torch::Tensor pooled = maps.mean({2, 3}).contiguous();
    const torch::Tensor scores = torch::log_softmax(head_->forward(maps), 1).contiguous();
    features.images += pooled.size(0);
    features.dimensions = pooled.size(1);
    features.classes = scores.size(1);
    features.values.insert(features.values.end(), pooled.data_ptr<float>(),
                           pooled.data_ptr<float>() + pooled.numel());
    features.log_scores.insert(features.log_scores.end(), scores.data_ptr<float>(),
                               scores.data_ptr<float>() + scores.numel());
  }
  return features;
}

std::vector<int64_t> ImageClassifier::Classify(const std::vector<Frame>& images) {
  torch::NoGradGuard no_grad;
  std::vector<int64_t> classes;
  for (const Frame& image : images) {
    const torch::Tensor x =
        torch::tensor(image.values).view({1, image.channels, image.height, image.width});
    classes.push_back(Scores(x.clamp(-1, 1)).argmax(1).item<int64_t>());
  }
  return classes;
}

double ImageClassifier::Accuracy(const ImageDataset& data) {
  torch::NoGradGuard no_grad;
  int64_t right = 0;
  for (int64_t begin = 0; begin < data.size(); begin += kClassifyBatch) {
    std::vector<int64_t> indices, labels;
    for (int64_t i = begin; i < std::min(begin + kClassifyBatch, data.size()); ++i) {
      indices.push_back(i);
      labels.push_back(data.labels[static_cast<size_t>(i)]);
    }
    right += Scores(Batch(data, indices)).argmax(1).eq(torch::tensor(labels)).sum().item<int64_t>();
  }
  return static_cast<double>(right) / static_cast<double>(data.size());
}

}  // namespace diffusiond
