// A tensor as PyTorch describes it: a window with strides into a storage of elements.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_PICKLED_TENSOR_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_PICKLED_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint/tensor_view.h"

namespace diffusiond {

struct PickledStorage {
  Dtype dtype = Dtype::kF32;
  std::span<const std::byte> data;  // A whole number of elements.
};

// A view, or, where the dimensions lie in another order (channels last, a transposed matrix), a
// copy in row-major order that it keeps. INVALID_ARGUMENT if the window leaves the storage, the
// strides leave gaps or show an element twice, or the copy would take more than `max_copied` bytes.
absl::StatusOr<TensorView> ViewOfStorage(const PickledStorage& storage, int64_t offset,
                                         std::vector<int64_t> shape,
                                         const std::vector<int64_t>& strides, int64_t max_copied);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_PICKLED_TENSOR_H_
