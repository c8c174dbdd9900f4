#include "model/checkpoint/zip_entries.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr size_t kLocalBytes = 30;  // Without the name and extra field that follow.
constexpr size_t kCentralBytes = 46;
constexpr size_t kEndBytes = 22;
constexpr size_t kMaxCommentBytes = 65535;
constexpr uint32_t kIn64BitRecord = 0xFFFFFFFF;
constexpr uint16_t kEncryptedFlag = 1;

// Little-endian numbers; the caller has checked that they are there.
uint16_t U16(std::span<const std::byte> bytes, size_t at) {
  uint16_t value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

uint32_t U32(std::span<const std::byte> bytes, size_t at) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

absl::string_view Text(std::span<const std::byte> bytes, size_t at, size_t size) {
  return {reinterpret_cast<const char*>(bytes.data()) + at, size};
}

absl::Status Damaged(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("damaged zip archive: ", what));
}

absl::Status EntryError(absl::string_view name, absl::string_view what) {
  return Damaged(absl::StrCat("entry ", Quoted(name), ": ", what));
}

// Offset of the end record: the last one whose comment ends where the file ends.
std::optional<size_t> FindEnd(std::span<const std::byte> file) {
  if (file.size() < kEndBytes) return std::nullopt;
  const size_t last = file.size() - kEndBytes;
  const size_t first = last - std::min(last, kMaxCommentBytes);
  for (size_t at = last + 1; at-- > first;) {
    if (U32(file, at) == kEndSignature && at + kEndBytes + U16(file, at + 20) == file.size()) {
      return at;
    }
  }
  return std::nullopt;
}

// The bytes of one entry. `archive` ends where the central directory begins.
absl::StatusOr<std::span<const std::byte>> EntryBytes(std::span<const std::byte> archive,
                                                      std::span<const std::byte> central,
                                                      absl::string_view name) {
  if ((U16(central, 8) & kEncryptedFlag) != 0) {
    return absl::UnimplementedError(absl::StrCat("zip entry ", Quoted(name), " is encrypted"));
  }
  if (const uint16_t method = U16(central, 10); method != 0) {
    return absl::UnimplementedError(absl::StrCat("zip entry ", Quoted(name),
                                                 " is compressed (method ", method,
                                                 "), expected it stored, as torch.save does"));
  }
  const uint32_t stored = U32(central, 20), size = U32(central, 24), at = U32(central, 42);
  if (stored == kIn64BitRecord || size == kIn64BitRecord || at == kIn64BitRecord) {
    return absl::UnimplementedError(
        absl::StrCat("zip entry ", Quoted(name), " needs the 64-bit extension"));
  }
  if (stored != size) {
    return EntryError(name, absl::StrCat("stored in ", stored, " bytes, but has ", size));
  }
  if (at > archive.size() || archive.size() - at < kLocalBytes) {
    return EntryError(name, absl::StrCat("its header at ", at, " is outside the archive"));
  }
  const std::span<const std::byte> local = archive.subspan(at);
  if (U32(local, 0) != kLocalSignature) return EntryError(name, "its header is not there");
  const size_t name_size = U16(local, 26);
  const size_t begin = kLocalBytes + name_size + U16(local, 28);
  if (local.size() < begin || Text(local, kLocalBytes, name_size) != name) {
    return EntryError(name, "its two headers differ");
  }
  if (local.size() - begin < size) {
    return EntryError(name, absl::StrCat("claims ", size, " bytes, ", local.size() - begin,
                                         " are left before the directory"));
  }
  return local.subspan(begin, size);
}

}  // namespace

absl::StatusOr<ZipEntries> ParseZipEntries(std::span<const std::byte> file) {
  const std::optional<size_t> end_at = FindEnd(file);
  if (!end_at) {
    return absl::InvalidArgumentError(
        "not a zip archive, or truncated: it has no end record (torch.save before PyTorch 1.6 "
        "wrote another format)");
  }
  const std::span<const std::byte> end = file.subspan(*end_at);
  if (U16(end, 4) != 0 || U16(end, 6) != 0 || U16(end, 8) != U16(end, 10)) {
    return absl::UnimplementedError("zip archive of several disks");
  }
  const size_t count = U16(end, 10);
  const uint32_t directory_size = U32(end, 12), directory_at = U32(end, 16);
  if (directory_size == kIn64BitRecord || directory_at == kIn64BitRecord) {
    return absl::UnimplementedError("zip archive over 4 GiB");
  }
  if (directory_at > *end_at || directory_size > *end_at - directory_at) {
    return Damaged(absl::StrCat("its directory of ", directory_size, " bytes at ", directory_at,
                                " is outside the file"));
  }
  const std::span<const std::byte> archive = file.first(directory_at);
  std::span<const std::byte> rest = file.subspan(directory_at, directory_size);
  ZipEntries entries;
  for (size_t i = 0; i < count; ++i) {
    if (rest.size() < kCentralBytes || U32(rest, 0) != kCentralSignature) {
      return Damaged(absl::StrCat("its directory holds ", i, " entries, expected ", count));
    }
    const size_t name_size = U16(rest, 28);
    const size_t size = kCentralBytes + name_size + U16(rest, 30) + U16(rest, 32);
    if (rest.size() < size) return Damaged("its directory is truncated");
    const absl::string_view name = Text(rest, kCentralBytes, name_size);
    ASSIGN_OR_RETURN(std::span<const std::byte> bytes, EntryBytes(archive, rest, name));
    if (!entries.emplace(name, bytes).second) return EntryError(name, "is there twice");
    rest = rest.subspan(size);
  }
  if (!rest.empty()) return Damaged("its directory holds more than its entries");
  return entries;
}

}  // namespace diffusiond
