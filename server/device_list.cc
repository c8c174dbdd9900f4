#include "server/device_list.h"

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace diffusiond {
namespace {

absl::Status Refused(absl::string_view entry, absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("device \"", entry, "\" ", reason,
                   "; allowed: cpu, cpu:<cores>, cuda:<index>, several with commas between"));
}

absl::StatusOr<DeviceSpec> ParseDevice(absl::string_view entry, int machine_cores) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(entry, absl::MaxSplits(':', 1));
  const bool has_number = entry.find(':') != absl::string_view::npos;
  int number = 0;
  if (has_number && !absl::SimpleAtoi(parts.second, &number)) {
    return Refused(entry, "has no number after the colon");
  }
  DeviceSpec device;
  if (parts.first == "cpu") {
    device.kind = DeviceSpec::Kind::kCpu;
    device.cores = has_number ? number : machine_cores;
    if (device.cores < 1 || device.cores > kMaxCpuCores) {
      return Refused(entry, absl::StrCat("has ", device.cores, " cores, not 1 .. ", kMaxCpuCores));
    }
    return device;
  }
  if (parts.first == "cuda") {
    device.kind = DeviceSpec::Kind::kCuda;
    device.index = number;
    if (number < 0 || number > kMaxCudaIndex) {
      return Refused(entry, absl::StrCat("has index ", number, ", not 0 .. ", kMaxCudaIndex));
    }
    return device;
  }
  return Refused(entry, "is of no known kind");
}

}  // namespace

absl::StatusOr<std::vector<DeviceSpec>> ParseDeviceList(absl::string_view text, int machine_cores) {
  std::vector<DeviceSpec> devices;
  for (const absl::string_view entry : absl::StrSplit(text, ',')) {
    absl::StatusOr<DeviceSpec> device = ParseDevice(entry, machine_cores);
    if (!device.ok()) return device.status();
    for (const DeviceSpec& other : devices) {
      if (other.kind != device->kind) return Refused(entry, "is of another kind than the first");
      if (other.kind == DeviceSpec::Kind::kCuda && other.index == device->index) {
        return Refused(entry, "is named twice");
      }
    }
    if (devices.size() == kMaxDevices) {
      return Refused(entry, absl::StrCat("is one more than the limit of ", kMaxDevices));
    }
    devices.push_back(*device);
  }
  return devices;
}

std::string DeviceName(const DeviceSpec& device) {
  if (device.kind == DeviceSpec::Kind::kCpu) return absl::StrCat("cpu:", device.cores);
  return absl::StrCat("cuda:", device.index);
}

}  // namespace diffusiond
