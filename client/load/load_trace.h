// A plan as a file: what was sent once can be sent again, and logs of others can be replayed.
//
// Comma-separated lines, the first of them a header:
//   at_seconds,entry[,seed]
//   0.250000000,short,12345
// `at_seconds` counts from the start of the run and need not be sorted; `entry` is the name of an
// entry of the mix; a seed that is not there is drawn.
#ifndef DIFFUSIOND_CLIENT_LOAD_LOAD_TRACE_H_
#define DIFFUSIOND_CLIENT_LOAD_LOAD_TRACE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/load/load_mix.h"
#include "client/load/load_plan.h"

namespace diffusiond {

inline constexpr size_t kMaxTraceBytes = 128 << 20;

// All columns, nanoseconds; ParseLoadTrace gives the same requests back.
std::string LoadTraceOf(const LoadPlan& plan);

// Sorted by time, lines of one time in their order. `name` stands in messages. INVALID_ARGUMENT
// names the line, its value and what is allowed.
absl::StatusOr<std::vector<PlannedRequest>> ParseLoadTrace(absl::string_view text,
                                                           const std::string& name,
                                                           const LoadMix& mix, uint64_t seed);

// NOT_FOUND: the file cannot be read.
absl::StatusOr<std::vector<PlannedRequest>> ReadLoadTrace(const std::string& file,
                                                          const LoadMix& mix, uint64_t seed);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_LOAD_LOAD_TRACE_H_
