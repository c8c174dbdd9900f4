#include "model/unet/device_option.h"

#include <ATen/Context.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "model/config/device_name.h"

namespace diffusiond {

absl::StatusOr<torch::Device> ParseDevice(const std::string& text) {
  if (text == "cpu") return torch::Device(torch::kCPU);
  const std::optional<NamedDevice> name = ParseDeviceName(text);
  if (!name.has_value() || name->kind == DeviceKind::kCpu) {
    return absl::InvalidArgumentError(
        absl::StrCat("--device is \"", text, "\"; it must be cpu, cuda or cuda:N"));
  }
  const int count = torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
  if (name->number.value_or(0) >= count) {
    return absl::InvalidArgumentError(
        absl::StrCat("--device is \"", text, "\"; ", count, " GPUs can be used here"));
  }
  if (!name->number.has_value()) return torch::Device(torch::kCUDA);
  return torch::Device(torch::kCUDA, static_cast<c10::DeviceIndex>(*name->number));
}

void UseFullFloat32() {
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
}

}  // namespace diffusiond
