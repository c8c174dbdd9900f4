// Matrix products and convolutions in bfloat16, on tensors and parameters that stay float32.
#ifndef DIFFUSIOND_MODEL_UNET_AUTOCAST_H_
#define DIFFUSIOND_MODEL_UNET_AUTOCAST_H_

#include <torch/torch.h>

namespace diffusiond {

// While it lives, LibTorch's autocast is on or off on this thread, for the CPU or for CUDA; then it
// is as before. What autocast keeps of the weights goes with the outermost guard, so a guard must
// not outlive an update.
class AutocastGuard {
 public:
  AutocastGuard(torch::DeviceType device, bool enabled);
  ~AutocastGuard();
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

  static bool Enabled(torch::DeviceType device);

 private:
  const torch::DeviceType device_;
  const bool before_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_AUTOCAST_H_
