#include "model/checkpoint/torch_pickle.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/pickle_machine.h"
#include "model/checkpoint/zip_entries.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr absl::string_view kPickleSuffix = "/data.pkl";

// Times that the tensors may show the file's bytes.
constexpr size_t kMaxSharing = 2;

absl::string_view Text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Tensors may share a storage, as tied weights do. A small file whose thousands of tensors all show
// the same bytes would keep whoever reads them busy for days.
absl::Status CheckSharing(const TensorMap& tensors, size_t file_bytes) {
  size_t total = 0;  // Cannot overflow: at most 2^20 tensors of less than 2^32 bytes.
  for (const auto& [name, tensor] : tensors) total += tensor.data.size();
  if (total / kMaxSharing <= file_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("tensors show ", total, " bytes of a file of ",
                                                 file_bytes, ": more than ", kMaxSharing,
                                                 " times over"));
}

}  // namespace

absl::StatusOr<TensorMap> ParseTorchArchive(std::span<const std::byte> file) {
  ASSIGN_OR_RETURN(const ZipEntries entries, ParseZipEntries(file));
  const ZipEntries::value_type* pickle = nullptr;
  for (const auto& entry : entries) {
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
  const auto byte_order = entries.find(absl::StrCat(root, "/byteorder"));
  if (byte_order != entries.end() && Text(byte_order->second) != "little") {
    return absl::InvalidArgumentError(
        absl::StrCat("byteorder is ", Quoted(Text(byte_order->second)), ", expected 'little'"));
  }
  ASSIGN_OR_RETURN(
      TensorMap tensors,
      ReadPickledTensors(
          pickle->second, [&](absl::string_view key) -> absl::StatusOr<std::span<const std::byte>> {
            const auto found = entries.find(absl::StrCat(root, "/data/", key));
            if (found != entries.end()) return found->second;
            return absl::InvalidArgumentError(
                absl::StrCat("holds no storage ", Quoted(absl::StrCat(root, "/data/", key))));
          }));
  RETURN_IF_ERROR(CheckSharing(tensors, file.size()));
  return tensors;
}

}  // namespace diffusiond
