#include "model/config/device_name.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace diffusiond {

std::optional<NamedDevice> ParseDeviceName(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  NamedDevice name;
  if (parts.first == "cuda") {
    name.kind = DeviceKind::kCuda;
  } else if (parts.first != "cpu") {
    return std::nullopt;
  }
  if (parts.first.size() == text.size()) return name;
  int number;
  if (!absl::SimpleAtoi(parts.second, &number)) return std::nullopt;
  const bool good =
      name.kind == DeviceKind::kCpu ? number >= 1 : number >= 0 && number <= kMaxCudaIndex;
  if (!good) return std::nullopt;
  name.number = number;
  return name;
}

}  // namespace diffusiond
