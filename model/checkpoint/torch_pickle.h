// The weights that torch.save writes since PyTorch 1.6, read without running them.
//
// Such a file is a zip archive, its entries stored uncompressed:
//   <name>/data.pkl       a pickle (protocol 2) of an OrderedDict, parameter name -> tensor
//   <name>/data/<key>     the elements of one storage, little-endian
//   <name>/version, ...   not needed; <name>/byteorder, if there, must say "little"
// A pickle is a program for a stack machine that may import and call anything. The machine here can
// build dictionaries, tuples and tensors over storages, and nothing else (pickle_machine.h).
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_TORCH_PICKLE_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_TORCH_PICKLE_H_

#include <cstddef>
#include <span>

#include "absl/status/statusor.h"
#include "model/checkpoint/tensor_view.h"

namespace diffusiond {

// Checks and parses a whole file in memory; the views point into `file`. Allocates for what the
// pickle holds, never for what it claims. INVALID_ARGUMENT if damaged, or if it asks for anything
// but tensors; UNIMPLEMENTED for compressed or encrypted entries and archives over 4 GiB.
absl::StatusOr<TensorMap> ParseTorchArchive(std::span<const std::byte> file);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_TORCH_PICKLE_H_
