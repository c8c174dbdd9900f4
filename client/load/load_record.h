// What became of one planned request.
#ifndef DIFFUSIOND_CLIENT_LOAD_LOAD_RECORD_H_
#define DIFFUSIOND_CLIENT_LOAD_LOAD_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "grpcpp/support/status_code_enum.h"

namespace diffusiond {

enum class LoadOutcome {
  kOk,                // Every image came, and Completed behind them.
  kRefused,           // RESOURCE_EXHAUSTED.
  kDeadlineExceeded,  // DEADLINE_EXCEEDED.
  kCancelled,         // CANCELLED, and it was us: cancel_after, or the run was stopped.
  kFailed,            // Any other status, or OK with something missing.
  kNotSent,           // max_in_flight streams were open when its time came.
  kStopped,           // The run was stopped before its time.
};

// Times are seconds from the start of the run, NaN where a thing never happened.
struct LoadRecord {
  static constexpr double kNever = std::numeric_limits<double>::quiet_NaN();

  size_t entry = 0;  // Of the mix.
  // When the plan wanted it sent. Every latency counts from here, so that a request which had to
  // wait, for a slow server or a slow generator, does not look fast.
  double intended = 0;
  double sent = kNever;
  double accepted = kNever;
  double first_preview = kNever;
  double first_image = kNever;
  double finished = kNever;  // The status came.
  LoadOutcome outcome = LoadOutcome::kStopped;
  grpc::StatusCode code = grpc::StatusCode::OK;  // Means nothing if not sent.
  uint32_t images = 0;
  uint32_t previews = 0;
  uint64_t bytes = 0;         // Of images and previews, as encoded.
  bool deadline_met = false;  // kOk, and within the entry's deadline if any.
  std::optional<int64_t> pushback_ms = std::nullopt;  // Trailer "grpc-retry-pushback-ms".
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_LOAD_LOAD_RECORD_H_
