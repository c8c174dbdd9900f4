// gzip (RFC 1952) in memory.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_GUNZIP_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_GUNZIP_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace diffusiond {

// Expands one or more gzip members. InvalidArgument if they are truncated or damaged (checksums are
// verified) or something else follows them; ResourceExhausted past `max_bytes` of output, for which
// memory is taken as it fills.
absl::StatusOr<std::string> Gunzip(std::string_view bytes, int64_t max_bytes);

// The first `size` expanded bytes, or all if they are fewer; what follows them is not looked at.
// InvalidArgument as above for what comes before.
absl::StatusOr<std::string> GunzipStart(std::string_view bytes, int64_t size);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_GUNZIP_H_
