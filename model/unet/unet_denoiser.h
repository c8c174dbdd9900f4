// A U-Net behind the Denoiser interface, on one device.
#ifndef DIFFUSIOND_MODEL_UNET_UNET_DENOISER_H_
#define DIFFUSIOND_MODEL_UNET_UNET_DENOISER_H_

#include <memory>
#include <span>

#include "model/sampling/denoiser.h"
#include "model/unet/unet.h"

namespace diffusiond {

// Thread-compatible. Several on the CPU may share one network.
class UNetDenoiser : public Denoiser {
 public:
  struct Options {
    int micro_batch = 1;                 // The micro-batch.
    torch::Device device = torch::kCPU;  // Where the network's parameters are.
    // Threads of one network call on the CPU; a result's bytes depend on it.
    int intra_op_threads = 1;
  };

  UNetDenoiser(std::shared_ptr<const UNet> network, const Options& options);

  ImageShape shape() const override;
  int micro_batch() const override { return options_.micro_batch; }
  int output_channels() const override;
  // LibTorch's exceptions become INTERNAL here.
  absl::Status Predict(std::span<const float> x, std::span<const float> timesteps,
                       std::span<const int64_t> labels, std::span<float> f) override;

 private:
  std::shared_ptr<const UNet> network_;
  Options options_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_UNET_DENOISER_H_
