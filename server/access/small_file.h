// Certificates, keys and lists: files that are read whole.
#ifndef DIFFUSIOND_SERVER_ACCESS_SMALL_FILE_H_
#define DIFFUSIOND_SERVER_ACCESS_SMALL_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace diffusiond {

// A bundle of all public certificate authorities has a quarter of it.
inline constexpr size_t kMaxAccessFileBytes = size_t{1} << 20;

// Copied, not mapped: somebody may write to it meanwhile. INVALID_ARGUMENT: it is no regular file,
// or has more than kMaxAccessFileBytes; else the system's code. The error names the file.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ACCESS_SMALL_FILE_H_
