// A pickle machine that can build tensors in dictionaries, and nothing else.
//
// It knows the opcodes that torch.save uses for a state_dict and refuses every other. Of imports
// (GLOBAL, STACK_GLOBAL) it knows collections.OrderedDict, torch._utils._rebuild_tensor_v2 and
// _rebuild_parameter, and torch's storage types; they are marks to it, and nothing is looked up or
// called. What the machine makes are numbers, views into the pickle and indices into its own
// tables, so that no chain of objects, however deep or circular, costs stack or leaks.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_PICKLE_MACHINE_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_PICKLE_MACHINE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/tensor_view.h"

namespace diffusiond {

// Instructions that a pickle may take: room for some 20,000 tensors. Since an instruction makes at
// most one object, this bounds the stack, the memo and the memory as well.
inline constexpr int64_t kMaxPickleInstructions = int64_t{1} << 20;

// The bytes of a storage by its key.
using StorageLookup =
    std::function<absl::StatusOr<std::span<const std::byte>>(absl::string_view key)>;

// Runs `pickle` and returns the dictionary of tensors that it leaves. INVALID_ARGUMENT names the
// import or the opcode that is refused, or the tensor that does not fit its storage.
absl::StatusOr<TensorMap> ReadPickledTensors(std::span<const std::byte> pickle,
                                             const StorageLookup& storage);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_PICKLE_MACHINE_H_
