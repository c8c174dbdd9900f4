#include "model/checkpoint/pickle_value.h"

#include "model/checkpoint/tensor_view.h"

namespace diffusiond {
namespace {

struct NamedStorage {
  absl::string_view name;
  Dtype dtype;
};
constexpr NamedStorage kStorages[] = {
    {"DoubleStorage", Dtype::kF64},    {"FloatStorage", Dtype::kF32}, {"HalfStorage", Dtype::kF16},
    {"BFloat16Storage", Dtype::kBF16}, {"LongStorage", Dtype::kI64},  {"IntStorage", Dtype::kI32},
    {"ShortStorage", Dtype::kI16},     {"CharStorage", Dtype::kI8},   {"ByteStorage", Dtype::kU8},
    {"BoolStorage", Dtype::kBool},
};

constexpr const char* kKindNames[] = {"a mark",
                                      "None",
                                      "a boolean",
                                      "an integer",
                                      "a string",
                                      "collections.OrderedDict",
                                      "torch._utils._rebuild_tensor_v2",
                                      "torch._utils._rebuild_parameter",
                                      "a storage type",
                                      "a tuple",
                                      "a dictionary",
                                      "a storage",
                                      "a tensor"};

}  // namespace

const char* NameOf(PickleKind kind) { return kKindNames[static_cast<int>(kind)]; }

std::optional<PickleValue> ImportedPickleValue(absl::string_view module, absl::string_view name) {
  if (module == "collections" && name == "OrderedDict") {
    return PickleValue{PickleKind::kOrderedDict, 0, {}};
  }
  if (module == "torch._utils" && name == "_rebuild_tensor_v2") {
    return PickleValue{PickleKind::kRebuildTensor, 0, {}};
  }
  if (module == "torch._utils" && name == "_rebuild_parameter") {
    return PickleValue{PickleKind::kRebuildParameter, 0, {}};
  }
  for (const NamedStorage& storage : kStorages) {
    if (module == "torch" && name == storage.name) {
      return PickleValue{PickleKind::kStorageType, static_cast<int64_t>(storage.dtype), {}};
    }
  }
  return std::nullopt;
}

}  // namespace diffusiond
