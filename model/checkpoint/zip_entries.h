// The entries of a zip archive that stores them uncompressed, as torch.save writes it.
//
// A zip archive ends with a directory: the end record (found by searching backwards, since a
// comment of up to 65,535 bytes may follow it) gives the offset and the number of the central
// headers; each of those gives a name, sizes and the offset of a local header, after which, past
// another copy of the name and padding, the entry's bytes lie.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_ZIP_ENTRIES_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_ZIP_ENTRIES_H_

#include <cstddef>
#include <map>
#include <span>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

// By name; names and bytes are views into the file.
using ZipEntries = std::map<absl::string_view, std::span<const std::byte>>;

// At most 65,535 entries: the format without its 64-bit extension holds no more. INVALID_ARGUMENT
// if damaged; UNIMPLEMENTED for compressed or encrypted entries, several disks and 64-bit archives.
// Checksums are not verified.
absl::StatusOr<ZipEntries> ParseZipEntries(std::span<const std::byte> file);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_ZIP_ENTRIES_H_
