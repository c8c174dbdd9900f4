// How flags name what networks run on.
#ifndef DIFFUSIOND_MODEL_CONFIG_DEVICE_NAME_H_
#define DIFFUSIOND_MODEL_CONFIG_DEVICE_NAME_H_

#include <optional>

#include "absl/strings/string_view.h"

namespace diffusiond {

inline constexpr int kMaxCudaIndex = 63;

enum class DeviceKind { kCpu, kCuda };

struct NamedDevice {
  DeviceKind kind = DeviceKind::kCpu;
  std::optional<int> number;  // After a colon: a GPU's index, 0 .. kMaxCudaIndex; a CPU's, at least
                              // 1, means what the flag says it means.
};

// "cpu", "cpu:N", "cuda" or "cuda:N"; nullopt: anything else.
std::optional<NamedDevice> ParseDeviceName(absl::string_view text);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CONFIG_DEVICE_NAME_H_
