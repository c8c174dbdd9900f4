// Errors that name the file they are about.
#ifndef DIFFUSIOND_MODEL_FILES_FILE_STATUS_H_
#define DIFFUSIOND_MODEL_FILES_FILE_STATUS_H_

#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

// `status` with "<path>: " before its message; OK stays OK.
absl::Status InFile(const std::filesystem::path& path, const absl::Status& status);

// "<path>: <action>: <what errno says>", with errno's canonical code.
absl::Status ErrnoInFile(const std::filesystem::path& path, absl::string_view action, int error);

// Text taken from a file, made fit for a message: cut to a sane length, in printable ASCII.
std::string Shown(absl::string_view text);

// The same in quotes, for names.
std::string Quoted(absl::string_view name);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_FILES_FILE_STATUS_H_
