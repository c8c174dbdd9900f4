#include "model/evaluation/image_classifier.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "model/checkpoint/safetensors.h"
#include "model/files/file_status.h"
#include "model/files/sha256.h"
#include "model/process/quoted_value.h"
#include "model/sampling/philox.h"
#include "model/status/status_macros.h"
#include "model/training/data/epoch_order.h"
#include "model/training/data/labels.h"
#include "nlohmann/json.hpp"

namespace diffusiond {
namespace {

constexpr int kMaxShift = 2;
constexpr int64_t kClassifyBatch = 256;
constexpr int64_t kFeatures = 128;
constexpr char kOriginKey[] = "origin";
constexpr char kShapeKey[] = "shape";      // "C H W classes", decimal.
constexpr char kClassesKey[] = "classes";  // Their names, as JSON.
constexpr char kHeadWeight[] = "head.2.weight";
constexpr int64_t kMaxSide = 4096, kMaxClasses = 100'000;

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

int64_t Eighth(int64_t size) { return (size + 7) / 8; }

// Of the linear layer, for images of `height` by `width`.
int64_t HeadInputs(int64_t height, int64_t width) {
  return kFeatures * Eighth(height) * Eighth(width);
}

// nullopt: not that many names.
std::optional<std::vector<std::string>> ParseNames(const std::string& text, int64_t classes) {
  const nlohmann::json names = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!names.is_array() || static_cast<int64_t>(names.size()) != classes) return std::nullopt;
  std::vector<std::string> result;
  for (const nlohmann::json& name : names) {
    if (!name.is_string()) return std::nullopt;
    result.push_back(name.get<std::string>());
  }
  return result;
}

}  // namespace

ImageClassifier::ImageClassifier(const Shape& shape, std::string origin,
                                 std::vector<std::string> class_names)
    : shape_(shape), origin_(std::move(origin)), class_names_(std::move(class_names)) {
  int64_t in = shape.channels;
  for (int64_t out : {int64_t{32}, int64_t{64}, kFeatures}) {
    convolutions_->push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3)
                                                   .stride(in == shape.channels ? 1 : 2)
                                                   .padding(1)
                                                   .bias(false)));
    convolutions_->push_back(torch::nn::BatchNorm2d(out));
    convolutions_->push_back(torch::nn::ReLU());
    in = out;
  }
  convolutions_->push_back(torch::nn::MaxPool2d(torch::nn::MaxPool2dOptions(2).ceil_mode(true)));
  head_->push_back(torch::nn::Flatten());
  head_->push_back(torch::nn::Dropout(0.4));
  head_->push_back(torch::nn::Linear(HeadInputs(shape.height, shape.width), shape.classes));
}

torch::Tensor ImageClassifier::Scores(const torch::Tensor& x) {
  return head_->forward(convolutions_->forward(x));
}

std::unique_ptr<ImageClassifier> ImageClassifier::Train(const ImageDataset& data,
                                                        const ClassifierOptions& options) {
  torch::manual_seed(options.seed);
  std::unique_ptr<ImageClassifier> classifier(
      new ImageClassifier({.channels = data.channels,
                           .height = data.height,
                           .width = data.width,
                           .classes = static_cast<int64_t>(data.class_names.size())},
                          absl::StrCat("classifier of ", data.digest, ", ", options.epochs,
                                       " epochs of ", options.batch_size, ", learning rate ",
                                       options.learning_rate, ", seed ", options.seed),
                          data.class_names));
  std::vector<torch::Tensor> parameters = classifier->convolutions_->parameters();
  for (const torch::Tensor& parameter : classifier->head_->parameters()) {
    parameters.push_back(parameter);
  }
  classifier->SetTraining(true);
  torch::optim::Adam optimizer(parameters, options.learning_rate);
  EpochOrder order(data.size(), options.seed);
  const int64_t steps = std::max<int64_t>(1, options.epochs * data.size() / options.batch_size);
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
  classifier->SetTraining(false);
  return classifier;
}

void ImageClassifier::SetTraining(bool training) {
  convolutions_->train(training);
  head_->train(training);
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

absl::Status ImageClassifier::Save(const std::filesystem::path& path) const {
  std::map<std::string, std::string> metadata = PyTorchMetadata();
  metadata[kOriginKey] = origin_;
  metadata[kShapeKey] =
      absl::StrCat(shape_.channels, " ", shape_.height, " ", shape_.width, " ", shape_.classes);
  if (!class_names_.empty()) {
    metadata[kClassesKey] =
        nlohmann::json(class_names_).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  return WriteSafetensors(path, Weights(), metadata);
}

std::string ImageClassifier::identity() const {
  Sha256 digest;
  for (const auto& [name, view] : Weights()) digest.Update(view.data);
  return absl::StrCat(origin_, ", weights ", digest.FinishHex());
}

absl::Status ImageClassifier::NumberAs(const std::vector<std::string>& names) {
  if (class_names_.empty() || AreNumbers(class_names_) || AreNumbers(names)) {
    return absl::OkStatus();
  }
  // The row of each class of `names`, then those that are left.
  std::vector<int64_t> rows;
  for (size_t i = 0; i < names.size(); ++i) {
    const auto found = std::find(class_names_.begin(), class_names_.end(), names[i]);
    if (found == class_names_.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the classifier has no class ", QuoteValue(names[i]), ", the model's class ",
                       i, "; its first is ", QuoteValue(class_names_.front())));
    }
    rows.push_back(found - class_names_.begin());
  }
  for (int64_t row = 0; row < shape_.classes; ++row) {
    if (std::find(rows.begin(), rows.end(), row) == rows.end()) rows.push_back(row);
  }
  std::vector<std::string> numbered;
  for (const int64_t row : rows) numbered.push_back(class_names_[static_cast<size_t>(row)]);
  class_names_ = std::move(numbered);
  torch::NoGradGuard no_grad;
  const torch::Tensor order = torch::tensor(rows);
  for (torch::Tensor parameter : head_->parameters()) {
    parameter.copy_(parameter.index_select(0, order));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ImageClassifier>> ImageClassifier::Load(
    const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(path));
  const absl::Status refused =
      InFile(path, absl::InvalidArgumentError(
                       "it is no classifier, as diffusion-train --image_classifier writes them"));
  const auto origin = file.metadata().find(kOriginKey);
  const auto shape_text = file.metadata().find(kShapeKey);
  if (origin == file.metadata().end() || shape_text == file.metadata().end()) return refused;
  Shape shape;
  const std::vector<std::string> words = absl::StrSplit(shape_text->second, ' ');
  if (words.size() != 4 || !absl::SimpleAtoi(words[0], &shape.channels) ||
      !absl::SimpleAtoi(words[1], &shape.height) || !absl::SimpleAtoi(words[2], &shape.width) ||
      !absl::SimpleAtoi(words[3], &shape.classes) || (shape.channels != 1 && shape.channels != 3) ||
      shape.height < 1 || shape.height > kMaxSide || shape.width < 1 || shape.width > kMaxSide ||
      shape.classes < 1 || shape.classes > kMaxClasses) {
    return refused;
  }
  // The largest tensor first: a wrong shape shall not cost memory.
  const auto head = file.tensors().find(kHeadWeight);
  if (head == file.tensors().end() ||
      head->second.shape !=
          std::vector<int64_t>{shape.classes, HeadInputs(shape.height, shape.width)}) {
    return refused;
  }
  std::optional<std::vector<std::string>> names = std::vector<std::string>();
  if (const auto text = file.metadata().find(kClassesKey); text != file.metadata().end()) {
    names = ParseNames(text->second, shape.classes);
    if (!names.has_value()) return refused;
  }
  std::unique_ptr<ImageClassifier> classifier(
      new ImageClassifier(shape, origin->second, *std::move(names)));
  const TensorMap weights = classifier->Weights();
  if (weights.size() != file.tensors().size()) return refused;
  for (const auto& [name, view] : weights) {
    const auto stored = file.tensors().find(name);
    if (stored == file.tensors().end() || stored->second.shape != view.shape ||
        stored->second.dtype != view.dtype) {
      return refused;
    }
    // The views are of this classifier's own tensors.
    std::memcpy(const_cast<std::byte*>(view.data.data()), stored->second.data.data(),
                view.data.size());
  }
  classifier->SetTraining(false);
  return classifier;
}

absl::StatusOr<ImageFeatures> ImageClassifier::Extract(std::span<const Frame> images) {
  const Frame& first = images.front();
  if (first.channels != shape_.channels || first.height != shape_.height ||
      first.width != shape_.width) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the classifier is of images of ", shape_.channels, "x", shape_.height, "x", shape_.width,
        "; these are ", first.channels, "x", first.height, "x", first.width));
  }
  torch::NoGradGuard no_grad;
  ImageFeatures features;
  for (size_t begin = 0; begin < images.size(); begin += kClassifyBatch) {
    const auto part =
        images.subspan(begin, std::min<size_t>(kClassifyBatch, images.size() - begin));
    std::vector<float> values;
    for (const Frame& frame : part) {
      values.insert(values.end(), frame.values.begin(), frame.values.end());
    }
    const torch::Tensor x =
        torch::from_blob(values.data(), {static_cast<int64_t>(part.size()), shape_.channels,
                                         shape_.height, shape_.width})
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

}  // namespace diffusiond
