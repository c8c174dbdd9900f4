// Parameter names of attention layers in checkpoints from before diffusers 0.12.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_ATTENTION_NAMES_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_ATTENTION_NAMES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/tensor_view.h"

namespace diffusiond {

// "<path>.attentions.<n>." followed by query, key, value or proj_attn becomes to_q, to_k, to_v or
// to_out.0; every other name is returned as it is.
std::string NewParameterName(absl::string_view name);

// The same for a whole checkpoint. Renamed weights stored as 1x1 convolutions [C, C, 1, 1] become
// the matrices [C, C] that they are. INVALID_ARGUMENT if two tensors end up with one name.
absl::StatusOr<TensorMap> WithNewNames(TensorMap tensors);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_ATTENTION_NAMES_H_
