#include "model/checkpoint/torch_pickle.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/file_status.h"
#include "model/checkpoint/pickle_machine.h"
#include "model/checkpoint/zip_entries.h"

namespace diffusiond {
namespace {

constexpr absl::string_view kPickleSuffix = "/data.pkl";

absl::string_view Text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

absl::StatusOr<TensorMap> ParseTorchArchive(std::span<const std::byte> file) {
  const absl::StatusOr<ZipEntries> entries = ParseZipEntries(file);
  if (!entries.ok()) return entries.status();
  const ZipEntries::value_type* pickle = nullptr;
  for (const auto& entry : *entries) {
    if (!absl::EndsWith(entry.first, kPickleSuffix)) continue;
    if (pickle != nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("holds two pickles, ", Quoted(pickle->first), " and ", Quoted(entry.first)));
    }
    pickle = &entry;
  }
  if (pickle == nullptr) {
    return absl::InvalidArgumentError("not written by torch.save: holds no <name>/data.pkl");
  }
  const std::string root(pickle->first.substr(0, pickle->first.size() - kPickleSuffix.size()));
  const auto byte_order = entries->find(absl::StrCat(root, "/byteorder"));
  if (byte_order != entries->end() && Text(byte_order->second) != "little") {
    return absl::InvalidArgumentError(
        absl::StrCat("byteorder is ", Quoted(Text(byte_order->second)), ", expected 'little'"));
  }
  return ReadPickledTensors(
      pickle->second, [&](absl::string_view key) -> absl::StatusOr<std::span<const std::byte>> {
        const auto found = entries->find(absl::StrCat(root, "/data/", key));
        if (found != entries->end()) return found->second;
        return absl::InvalidArgumentError(
            absl::StrCat("holds no storage ", Quoted(absl::StrCat(root, "/data/", key))));
      });
}

}  // namespace diffusiond
