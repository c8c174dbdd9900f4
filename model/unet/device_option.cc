#include "model/unet/device_option.h"

#include <ATen/Context.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace diffusiond {

absl::StatusOr<torch::Device> ParseDevice(const std::string& text) {
  if (text == "cpu") return torch::Device(torch::kCPU);
  int index = 0;
  absl::string_view number = text;
  const bool numbered = absl::ConsumePrefix(&number, "cuda:");
  if (text != "cuda" && !(numbered && absl::SimpleAtoi(number, &index) && index >= 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--device is \"", text, "\"; it must be cpu, cuda or cuda:N"));
  }
  const int count = torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
  if (index >= count) {
    return absl::InvalidArgumentError(
        absl::StrCat("--device is \"", text, "\"; ", count, " GPUs can be used here"));
  }
  UseFullFloat32();
  if (!numbered) return torch::Device(torch::kCUDA);
  return torch::Device(torch::kCUDA, static_cast<c10::DeviceIndex>(index));
}

void UseFullFloat32() {
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
}

}  // namespace diffusiond
