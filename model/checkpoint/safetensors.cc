#include "model/checkpoint/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/safetensors_header.h"
#include "model/files/durable_write.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little, "tensors are used as they lie in files");

constexpr size_t kLengthBytes = 8;
constexpr size_t kDataAlignment = 8;

absl::Status EntryError(const std::string& name, const std::string& message) {
  return absl::InvalidArgumentError(absl::StrCat("tensor ", Quoted(name), ": ", message));
}

absl::StatusOr<TensorView> ViewOf(const std::string& name, SafetensorsHeaderEntry entry,
                                  std::span<const std::byte> data) {
  const int64_t begin = entry.data_offsets[0], end = entry.data_offsets[1];
  const std::string offsets = absl::StrCat("data_offsets [", begin, ", ", end, "]");
  if (begin > end) return EntryError(name, absl::StrCat(offsets, ": begin is past end"));
  if (static_cast<uint64_t>(end) > data.size()) {
    return EntryError(name, absl::StrCat(offsets, " leave the file, which holds ", data.size(),
                                         " bytes of data"));
  }
  const std::optional<int64_t> bytes = NumBytes(entry.dtype, entry.shape);
  const std::string shape = absl::StrCat("shape ", ShapeToString(entry.shape));
  if (!bytes) return EntryError(name, absl::StrCat(shape, " is too large to address"));
  if (*bytes != end - begin) {
    return EntryError(name, absl::StrCat(DtypeName(entry.dtype), " of ", shape, " takes ", *bytes,
                                         " bytes, found ", end - begin, " (", offsets, ")"));
  }
  return TensorView{entry.dtype, std::move(entry.shape),
                    data.subspan(static_cast<size_t>(begin), static_cast<size_t>(*bytes))};
}

// Every byte of the data belongs to exactly one tensor: what is hidden in a hole, or read twice, is
// a sign of damage or worse.
absl::Status CheckCoverage(const TensorMap& tensors, std::span<const std::byte> data) {
  std::vector<std::pair<std::span<const std::byte>, const std::string*>> ranges;
  ranges.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.data.empty()) ranges.emplace_back(tensor.data, &name);
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const auto& a, const auto& b) { return a.first.data() < b.first.data(); });
  const std::byte* covered = data.data();
  const std::string* previous = nullptr;
  for (const auto& [range, name] : ranges) {
    if (range.data() < covered) {
      return EntryError(*name, absl::StrCat("its data overlaps that of ", Quoted(*previous)));
    }
    if (range.data() > covered) {
      return EntryError(*name, absl::StrCat(range.data() - covered,
                                            " bytes before its data belong to no tensor"));
    }
    covered = range.data() + range.size();
    previous = name;
  }
  const ptrdiff_t rest = data.data() + data.size() - covered;
  if (rest == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(rest, " bytes after the last tensor belong to no tensor"));
}

absl::Status CheckWritable(const std::string& name, const TensorView& tensor) {
  if (name == "__metadata__") return EntryError(name, "the name is taken by the format");
  const std::optional<int64_t> bytes = NumBytes(tensor.dtype, tensor.shape);
  if (bytes && static_cast<uint64_t>(*bytes) == tensor.data.size()) return absl::OkStatus();
  return EntryError(name,
                    absl::StrCat(DtypeName(tensor.dtype), " of shape ", ShapeToString(tensor.shape),
                                 " does not take ", tensor.data.size(), " bytes"));
}

}  // namespace

absl::StatusOr<SafetensorsContents> ParseSafetensors(std::span<const std::byte> file) {
  if (file.size() < kLengthBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("not a safetensors file: ", file.size(), " bytes, expected at least 8"));
  }
  uint64_t length;
  std::memcpy(&length, file.data(), sizeof(length));
  if (length > file.size() - kLengthBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the header claims ", length, " bytes, the file has ", file.size() - kLengthBytes,
        " after the length: truncated or not safetensors"));
  }
  if (length > kMaxSafetensorsHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat("the header has ", length, " bytes, at most ",
                                                   kMaxSafetensorsHeaderBytes, " are accepted"));
  }
  const absl::string_view json(reinterpret_cast<const char*>(file.data()) + kLengthBytes,
                               static_cast<size_t>(length));
  if (!absl::StartsWith(json, "{")) {
    return absl::InvalidArgumentError("the header does not start with '{'");
  }
  ASSIGN_OR_RETURN(SafetensorsHeader header, ParseSafetensorsHeader(json));

  const std::span<const std::byte> data = file.subspan(kLengthBytes + json.size());
  SafetensorsContents contents;
  contents.metadata = std::move(header.metadata);
  for (auto& [name, entry] : header.entries) {
    ASSIGN_OR_RETURN(TensorView view, ViewOf(name, std::move(entry), data));
    contents.tensors.emplace_hint(contents.tensors.end(), name, std::move(view));
  }
  RETURN_IF_ERROR(CheckCoverage(contents.tensors, data));
  return contents;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  absl::StatusOr<SafetensorsContents> contents = ParseSafetensors(file.bytes());
  if (!contents.ok()) return InFile(path, contents.status());
  return SafetensorsFile(std::move(file), *std::move(contents));
}

absl::StatusOr<SafetensorsLayout> LayOutSafetensors(
    const TensorMap& tensors, const std::map<std::string, std::string>& metadata) {
  std::vector<const TensorMap::value_type*> order;
  order.reserve(tensors.size());
  for (const auto& entry : tensors) order.push_back(&entry);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return ElementSize(a->second.dtype) > ElementSize(b->second.dtype);
  });

  SafetensorsLayout layout;
  std::string json = "{";
  try {
    if (!metadata.empty()) json += absl::StrCat("\"__metadata__\":", Json(metadata).dump());
    size_t offset = 0;
    for (const auto* entry : order) {
      const auto& [name, tensor] = *entry;
      RETURN_IF_ERROR(CheckWritable(name, tensor));
      const size_t end = offset + tensor.data.size();
      const nlohmann::ordered_json fields = {{"dtype", std::string(DtypeName(tensor.dtype))},
                                             {"shape", tensor.shape},
                                             {"data_offsets", {offset, end}}};
      absl::StrAppend(&json, json.size() > 1 ? "," : "", Json(name).dump(), ":", fields.dump());
      layout.data.push_back(tensor.data);
      offset = end;
    }
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("a tensor's name or the metadata is not UTF-8: ", Shown(error.what())));
  }
  json += "}";
  json.append((kDataAlignment - json.size() % kDataAlignment) % kDataAlignment, ' ');
  const uint64_t length = json.size();
  layout.head.resize(kLengthBytes);
  std::memcpy(layout.head.data(), &length, sizeof(length));
  layout.head += json;
  return layout;
}

absl::Status WriteSafetensors(const std::filesystem::path& path, const TensorMap& tensors,
                              const std::map<std::string, std::string>& metadata) {
  absl::StatusOr<SafetensorsLayout> layout = LayOutSafetensors(tensors, metadata);
  if (!layout.ok()) return InFile(path, layout.status());
  std::vector<std::span<const std::byte>> pieces;
  pieces.reserve(layout->data.size() + 1);
  pieces.push_back(std::as_bytes(std::span(layout->head)));
  pieces.insert(pieces.end(), layout->data.begin(), layout->data.end());
  return ReplaceFile(path, pieces);
}

}  // namespace diffusiond
