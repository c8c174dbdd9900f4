// Whole files that a user names.
#ifndef DIFFUSIOND_CLIENT_INPUT_FILE_H_
#define DIFFUSIOND_CLIENT_INPUT_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace diffusiond {

// All its bytes; a pipe will do. The error names the file, and has the system's code and reason;
// INVALID_ARGUMENT: it is empty, or has more than `max_bytes`.
absl::StatusOr<std::string> ReadInputFile(const std::string& path,
                                          size_t max_bytes = std::string::npos);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_INPUT_FILE_H_
