// Any bytes: ParseSafetensors refuses them, or gives views that lie within them and survive being
// written and read again.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "model/checkpoint/safetensors.h"

namespace {

void Require(bool ok) {
  if (!ok) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using diffusiond::ParseSafetensors;
  const std::span<const std::byte> file = std::as_bytes(std::span(data, size));
  const auto parsed = ParseSafetensors(file);
  if (!parsed.ok()) return 0;
  for (const auto& [name, tensor] : parsed->tensors) {
    Require(tensor.data.empty() ||
            (tensor.data.data() >= file.data() && tensor.data.size() <= file.size() &&
             tensor.data.data() - file.data() <=
                 static_cast<ptrdiff_t>(file.size() - tensor.data.size())));
    Require(diffusiond::NumBytes(tensor.dtype, tensor.shape) ==
            static_cast<int64_t>(tensor.data.size()));
    diffusiond::FindNonFinite(tensor);
  }

  const auto layout = diffusiond::LayOutSafetensors(parsed->tensors, parsed->metadata);
  Require(layout.ok());
  std::vector<std::byte> copy;
  const auto append = [&copy](std::span<const std::byte> bytes) {
    copy.insert(copy.end(), bytes.begin(), bytes.end());
  };
  append(std::as_bytes(std::span(layout->head)));
  for (std::span<const std::byte> bytes : layout->data) append(bytes);
  const auto again = ParseSafetensors(copy);
  Require(again.ok() && again->metadata == parsed->metadata);
  Require(std::equal(parsed->tensors.begin(), parsed->tensors.end(), again->tensors.begin(),
                     again->tensors.end(), [](const auto& a, const auto& b) {
                       return a.first == b.first && a.second.dtype == b.second.dtype &&
                              a.second.shape == b.second.shape &&
                              std::ranges::equal(a.second.data, b.second.data);
                     }));
  return 0;
}
