#include "model/evaluation/image_classifier.h"

#include <algorithm>

#include "model/sampling/philox.h"
#include "model/training/data/epoch_order.h"

namespace diffusiond {
namespace {

constexpr int kMaxShift = 2;
constexpr int64_t kClassifyBatch = 256;

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

ImageClassifier::ImageClassifier(int channels, int64_t pixels_left, int64_t classes) {
  int64_t in = channels;
  for (int64_t out : {32, 64, 128}) {
    network_->push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3)
                                              .stride(in == channels ? 1 : 2)
                                              .padding(1)
                                              .bias(false)));
    network_->push_back(torch::nn::BatchNorm2d(out));
    network_->push_back(torch::nn::ReLU());
    in = out;
  }
  network_->push_back(torch::nn::MaxPool2d(torch::nn::MaxPool2dOptions(2).ceil_mode(true)));
  network_->push_back(torch::nn::Flatten());
  network_->push_back(torch::nn::Dropout(0.4));
  network_->push_back(torch::nn::Linear(in * pixels_left, classes));
}

std::unique_ptr<ImageClassifier> ImageClassifier::Train(const ImageDataset& data,
                                                        const ClassifierOptions& options) {
  torch::manual_seed(options.seed);
  const int64_t pixels_left =
      Halved(Halved(Halved(data.height))) * Halved(Halved(Halved(data.width)));
  std::unique_ptr<ImageClassifier> classifier(new ImageClassifier(
      data.channels, pixels_left, static_cast<int64_t>(data.class_names.size())));
  torch::nn::Sequential& network = classifier->network_;
  network->train();
  torch::optim::Adam optimizer(network->parameters(), options.learning_rate);
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
    torch::cross_entropy_loss(network->forward(x), torch::tensor(labels)).backward();
    optimizer.step();
  }
  network->eval();
  return classifier;
}

std::vector<int64_t> ImageClassifier::Classify(const std::vector<Frame>& images) {
  torch::NoGradGuard no_grad;
  std::vector<int64_t> classes;
  for (const Frame& image : images) {
    const torch::Tensor x =
        torch::tensor(image.values).view({1, image.channels, image.height, image.width});
    classes.push_back(network_->forward(x.clamp(-1, 1)).argmax(1).item<int64_t>());
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
    right += network_->forward(Batch(data, indices))
                 .argmax(1)
                 .eq(torch::tensor(labels))
                 .sum()
                 .item<int64_t>();
  }
  return static_cast<double>(right) / static_cast<double>(data.size());
}

}  // namespace diffusiond
