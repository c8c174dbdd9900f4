#include "model/unet/autocast.h"

#include <ATen/autocast_mode.h>
#include <torch/version.h>

namespace diffusiond {
namespace {

// LibTorch 2.4 has one function for all devices.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)

void SetEnabled(torch::DeviceType device, bool enabled) {
  at::autocast::set_autocast_dtype(device, torch::kBFloat16);
  at::autocast::set_autocast_enabled(device, enabled);
}

bool IsEnabled(torch::DeviceType device) { return at::autocast::is_autocast_enabled(device); }

#else

void SetEnabled(torch::DeviceType device, bool enabled) {
  if (device == torch::kCUDA) {
    at::autocast::set_autocast_gpu_dtype(torch::kBFloat16);
    at::autocast::set_enabled(enabled);
  } else {
    at::autocast::set_autocast_cpu_dtype(torch::kBFloat16);
    at::autocast::set_cpu_enabled(enabled);
  }
}

bool IsEnabled(torch::DeviceType device) {
  return device == torch::kCUDA ? at::autocast::is_enabled() : at::autocast::is_cpu_enabled();
}

#endif

}  // namespace

AutocastGuard::AutocastGuard(torch::DeviceType device, bool enabled)
    : device_(device), before_(IsEnabled(device)) {
  SetEnabled(device, enabled);
  at::autocast::increment_nesting();
}

AutocastGuard::~AutocastGuard() {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  SetEnabled(device_, before_);
}

bool AutocastGuard::Enabled(torch::DeviceType device) { return IsEnabled(device); }

}  // namespace diffusiond
