// Whether a checkpoint's tensors are the ones a network needs.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_CHECK_TENSORS_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_CHECK_TENSORS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "model/checkpoint/tensor_view.h"

namespace diffusiond {

// Name and shape of each parameter of a network.
using ParameterList = std::vector<std::pair<std::string, std::vector<int64_t>>>;

// OK if `actual` holds exactly `expected`, each of the right shape, of a floating point type, and
// finite. INVALID_ARGUMENT lists what is missing, surplus and wrong, the first few of each kind,
// with expected and found. Reads the tensors where they are and copies nothing. Names in `expected`
// must differ.
absl::Status CheckTensors(const ParameterList& expected, const TensorMap& actual);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_CHECK_TENSORS_H_
