#include "server/device_list.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

absl::Status Refused(absl::string_view entry, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat(
      "device \"", entry, "\" ", reason,
      "; allowed: cpu, cpu:<workers> from 1 to the number of cores, or cuda:<index>, 0 .. ",
      kMaxCudaIndex, ", several with commas between"));
}

// The workers that one entry means.
absl::StatusOr<std::vector<DeviceSpec>> ParseEntry(absl::string_view entry, int cores) {
  const std::optional<NamedDevice> name = ParseDeviceName(entry);
  if (!name.has_value()) return Refused(entry, "is not known");
  if (name->kind == DeviceKind::kCuda) {
    return std::vector<DeviceSpec>{{.kind = DeviceKind::kCuda, .index = name->number.value_or(0)}};
  }
  const int workers = name->number.value_or(1);
  if (workers > cores) {
    return Refused(entry,
                   absl::StrCat("asks for ", workers, " workers, more than the ", cores, " cores"));
  }
  std::vector<DeviceSpec> devices;
  for (int i = 0; i < workers; ++i) {
    // What does not divide evenly goes to the first ones.
    devices.push_back({.kind = DeviceKind::kCpu,
                       .index = i,
                       .cores = cores / workers + (i < cores % workers ? 1 : 0)});
  }
  return devices;
}

}  // namespace

absl::StatusOr<std::vector<DeviceSpec>> ParseDeviceList(absl::string_view text, int cores) {
  std::vector<DeviceSpec> devices;
  for (const absl::string_view entry : absl::StrSplit(text, ',')) {
    ASSIGN_OR_RETURN(std::vector<DeviceSpec> workers, ParseEntry(entry, cores));
    for (const DeviceSpec& worker : workers) {
      for (const DeviceSpec& other : devices) {
        if (other.kind != worker.kind) return Refused(entry, "is of another kind than the first");
        if (other.index == worker.index) return Refused(entry, "is named twice");
      }
    }
    devices.insert(devices.end(), workers.begin(), workers.end());
    if (devices.size() > kMaxDevices) {
      return Refused(entry, absl::StrCat("passes the limit of ", kMaxDevices, " workers"));
    }
  }
  return devices;
}

}  // namespace diffusiond
