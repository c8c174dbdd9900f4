// The --devices flag.
#ifndef DIFFUSIOND_SERVER_DEVICE_LIST_H_
#define DIFFUSIOND_SERVER_DEVICE_LIST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/worker/model_loader.h"

namespace diffusiond {

inline constexpr int kMaxDevices = 64;
inline constexpr int kMaxCpuCores = 1024;
inline constexpr int kMaxCudaIndex = 63;

// "cpu" (every core: `machine_cores`), "cpu:N" (N cores, 1 .. kMaxCpuCores), "cuda" (cuda:0),
// "cuda:I", or several with commas between; one worker each. INVALID_ARGUMENT names the entry and
// what is allowed: an empty or unknown one, a GPU twice, CPU beside GPU, more than kMaxDevices.
// Whether a GPU is there is for the loader to see.
absl::StatusOr<std::vector<DeviceSpec>> ParseDeviceList(absl::string_view text, int machine_cores);

// "cpu:4", "cuda:0".
std::string DeviceName(const DeviceSpec& device);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_DEVICE_LIST_H_
