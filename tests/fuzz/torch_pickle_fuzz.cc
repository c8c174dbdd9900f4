// Any bytes: ParseTorchArchive refuses them, or gives views that lie within them, or within what
// they keep. The same bytes are also run as a bare pickle, which reaches the machine without a zip
// archive around it.
#include <cstdint>
#include <cstdlib>

#include "model/checkpoint/pickle_machine.h"
#include "model/checkpoint/torch_pickle.h"

namespace {

void RequireWithin(const absl::StatusOr<diffusiond::TensorMap>& tensors,
                   std::span<const std::byte> file) {
  if (!tensors.ok()) return;
  for (const auto& [name, tensor] : *tensors) {
    const std::span<const std::byte> bytes =
        tensor.kept != nullptr ? std::span<const std::byte>(*tensor.kept) : file;
    const bool within = tensor.data.empty() ||
                        (tensor.data.data() >= bytes.data() && tensor.data.size() <= bytes.size() &&
                         tensor.data.data() - bytes.data() <=
                             static_cast<ptrdiff_t>(bytes.size() - tensor.data.size()));
    const bool fits = diffusiond::NumBytes(tensor.dtype, tensor.shape) ==
                      static_cast<int64_t>(tensor.data.size());
    if (!within || !fits) std::abort();
    diffusiond::FindNonFinite(tensor);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> file = std::as_bytes(std::span(data, size));
  RequireWithin(diffusiond::ParseTorchArchive(file), file);

  static constexpr std::byte kStorage[24] = {};
  RequireWithin(diffusiond::ReadPickledTensors(
                    file,
                    [](absl::string_view) -> absl::StatusOr<std::span<const std::byte>> {
                      return std::span<const std::byte>(kStorage);
                    }),
                kStorage);
  return 0;
}
