// A U-Net as a noise-conditional classifier, for classifier guidance.
#ifndef DIFFUSIOND_MODEL_UNET_UNET_CLASSIFIER_H_
#define DIFFUSIOND_MODEL_UNET_UNET_CLASSIFIER_H_

#include <torch/torch.h>

#include <memory>
#include <span>

#include "model/sampling/noise_classifier.h"
#include "model/unet/unet.h"

namespace diffusiond {

// log p(y | x_t) for every class y, from what the network says of x_t: log softmax of each
// channel's mean over the image. output [B, classes, H, W] -> [B, classes], differentiable.
torch::Tensor ClassLogProbabilities(const torch::Tensor& output);

// Thread-compatible. Several on the CPU may share one network.
class UNetClassifier : public NoiseClassifier {
 public:
  struct Options {
    int micro_batch = 1;
    torch::Device device = torch::kCPU;  // Where the network's parameters are.
    // Threads of one network call on the CPU; a result's bytes depend on it.
    int intra_op_threads = 1;
  };

  // The parameters must not require gradients: only the image's is taken.
  UNetClassifier(std::shared_ptr<const UNet> network, const Options& options);

  ImageShape shape() const override;
  int micro_batch() const override { return options_.micro_batch; }
  // INVALID_ARGUMENT: a label that is no class. LibTorch's exceptions become INTERNAL here.
  absl::Status Gradient(std::span<const float> x, std::span<const float> timesteps,
                        std::span<const int64_t> labels, std::span<float> gradient) override;

 private:
  std::shared_ptr<const UNet> network_;
  Options options_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_UNET_CLASSIFIER_H_
