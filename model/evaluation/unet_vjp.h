// A U-Net as a NetworkVjp, by LibTorch's automatic differentiation.
#ifndef DIFFUSIOND_MODEL_EVALUATION_UNET_VJP_H_
#define DIFFUSIOND_MODEL_EVALUATION_UNET_VJP_H_

#include <torch/torch.h>

#include <memory>

#include "model/evaluation/network_vjp.h"
#include "model/unet/unet.h"

namespace diffusiond {

// Single-threaded on a CPU.
class UNetVjp : public NetworkVjp {
 public:
  // `network` is on `device`; its parameters should ask for no gradients.
  UNetVjp(std::shared_ptr<const UNet> network, int rows, torch::Device device);

  ImageShape shape() const override;
  int micro_batch() const override { return rows_; }
  absl::Status Evaluate(std::span<const float> x, std::span<const float> timesteps,
                        std::span<const int64_t> labels, std::span<const float> probe,
                        std::span<float> f, std::span<float> vjp) override;

 private:
  const std::shared_ptr<const UNet> network_;
  const int rows_;
  const torch::Device device_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_UNET_VJP_H_
