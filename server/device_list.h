// The --devices flag.
#ifndef DIFFUSIOND_SERVER_DEVICE_LIST_H_
#define DIFFUSIOND_SERVER_DEVICE_LIST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/worker/device_spec.h"

namespace diffusiond {

inline constexpr int kMaxDevices = 64;

// "cpu" (one worker with all `cores`), "cpu:N" (N workers that split the cores), "cuda" (cuda:0) or
// "cuda:I", or several GPUs with commas between; one worker each. INVALID_ARGUMENT names the entry
// and what is allowed: an empty or unknown one, one twice, CPU beside GPU, more than kMaxDevices
// workers or than cores. Whether a GPU is there is for the loader to see.
absl::StatusOr<std::vector<DeviceSpec>> ParseDeviceList(absl::string_view text, int cores);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_DEVICE_LIST_H_
