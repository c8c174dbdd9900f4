// What a pickle machine holds in place of Python's objects.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_PICKLE_VALUE_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_PICKLE_VALUE_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace diffusiond {

enum class PickleKind {
  kMark,
  kNone,
  kBool,
  kInt,
  kString,
  kOrderedDict,
  kRebuildTensor,
  kRebuildParameter,
  kStorageType,
  kTuple,
  kDict,
  kStorage,
  kTensor
};

// "a tuple", for messages.
const char* NameOf(PickleKind kind);

struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  // kInt, kBool: the value. kStorageType: the Dtype. kTuple to kTensor: index into a table.
  int64_t number = 0;
  absl::string_view text;  // kString.
};

// What stands for an import: kOrderedDict, kRebuildTensor, kRebuildParameter or kStorageType. No
// other is known, and none is looked up.
std::optional<PickleValue> ImportedPickleValue(absl::string_view module, absl::string_view name);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_PICKLE_VALUE_H_
