#include "server/device_list.h"

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

absl::Status Refused(absl::string_view entry, absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("device \"", entry, "\" ", reason,
                   "; allowed: cpu, cpu:<workers>, or cuda:<index>, several with commas between"));
}

// The workers that one entry means.
absl::StatusOr<std::vector<DeviceSpec>> ParseEntry(absl::string_view entry, int cores) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(entry, absl::MaxSplits(':', 1));
  const bool has_number = entry.find(':') != absl::string_view::npos;
  int number = 0;
  if (has_number && !absl::SimpleAtoi(parts.second, &number)) {
    return Refused(entry, "has no number after the colon");
  }
  if (parts.first == "cpu") {
    const int workers = has_number ? number : 1;
    if (workers < 1 || workers > cores) {
      return Refused(entry, absl::StrCat("asks for ", workers, " workers, not 1 .. ", cores,
                                         ", the number of cores"));
    }
    std::vector<DeviceSpec> devices;
    for (int i = 0; i < workers; ++i) {
      // What does not divide evenly goes to the first ones.
      devices.push_back({.kind = DeviceSpec::Kind::kCpu,
                         .index = i,
                         .cores = cores / workers + (i < cores % workers ? 1 : 0)});
    }
    return devices;
  }
  if (parts.first == "cuda") {
    if (number < 0 || number > kMaxCudaIndex) {
      return Refused(entry, absl::StrCat("has index ", number, ", not 0 .. ", kMaxCudaIndex));
    }
    return std::vector<DeviceSpec>{{.kind = DeviceSpec::Kind::kCuda, .index = number}};
  }
  return Refused(entry, "is of no known kind");
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
