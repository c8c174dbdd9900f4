// Files that are whole or absent after a crash.
#ifndef DIFFUSIOND_MODEL_FILES_DURABLE_WRITE_H_
#define DIFFUSIOND_MODEL_FILES_DURABLE_WRITE_H_

#include <cstddef>
#include <filesystem>
#include <span>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

// Creates `path`, which must not exist, with the concatenation of `pieces`, and fsyncs it (not its
// directory). On an error the file may be left behind, unfinished.
absl::Status WriteNewFile(const std::filesystem::path& path,
                          std::span<const std::span<const std::byte>> pieces);
absl::Status WriteNewFile(const std::filesystem::path& path, absl::string_view text);

// Writes a new file beside `path`, fsyncs it, renames it to `path` and fsyncs the directory: after
// a crash `path` holds the old bytes or the new. On an error nothing is left behind.
absl::Status ReplaceFile(const std::filesystem::path& path,
                         std::span<const std::span<const std::byte>> pieces);
absl::Status ReplaceFile(const std::filesystem::path& path, absl::string_view text);

// Makes the entries of a directory (names created, renamed, removed) survive a crash.
absl::Status SyncDirectory(const std::filesystem::path& path);

// A hidden name beside `path` that no other call, in this process or another, returns: for what
// will be renamed to `path`.
std::filesystem::path TemporarySibling(const std::filesystem::path& path);

// The directory that holds `path`'s last component: "." for a bare name.
std::filesystem::path ParentDirectory(const std::filesystem::path& path);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_FILES_DURABLE_WRITE_H_
