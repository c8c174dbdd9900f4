// What a worker runs on.
#ifndef DIFFUSIOND_SERVER_WORKER_DEVICE_SPEC_H_
#define DIFFUSIOND_SERVER_WORKER_DEVICE_SPEC_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "model/config/device_name.h"

namespace diffusiond {

// One worker's device.
struct DeviceSpec {
  DeviceKind kind = DeviceKind::kCpu;
  int index = 0;  // Of the GPU, or of the CPU worker.
  int cores = 1;  // A CPU worker's: micro-batches that run side by side, one thread each.
};

// "cpu:0", "cuda:0".
inline std::string DeviceName(const DeviceSpec& device) {
  return absl::StrCat(device.kind == DeviceKind::kCpu ? "cpu:" : "cuda:", device.index);
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_WORKER_DEVICE_SPEC_H_
