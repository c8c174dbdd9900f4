// The JSON header of a safetensors file, read strictly: only the keys, types and nesting of the
// format, and no key twice. Offsets and sizes are not checked here.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_SAFETENSORS_HEADER_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_SAFETENSORS_HEADER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/tensor_view.h"

namespace diffusiond {

struct SafetensorsHeaderEntry {
  Dtype dtype = Dtype::kF32;
  std::vector<int64_t> shape;
  std::vector<int64_t> data_offsets;  // Two, not negative.
};

struct SafetensorsHeader {
  std::map<std::string, SafetensorsHeaderEntry> entries;
  std::map<std::string, std::string> metadata;
};

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view json);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_SAFETENSORS_HEADER_H_
