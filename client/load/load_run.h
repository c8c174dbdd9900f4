// Sends a plan's requests to a server, each at its time, whatever became of the others (an open
// loop): a server that stalls is asked all the same, as its users would, and the wait is counted.
//
//   absl::StatusOr<LoadMix> mix = ParseLoadMix("short steps=20; long weight=0.2 steps=250");
//   absl::StatusOr<LoadPlan> plan =
//       MakeLoadPlan(*mix, {.rate = 5, .duration = absl::Seconds(60), .seed = 7});
//   absl::StatusOr<LoadResult> result = RunLoad(*plan, {.target = "127.0.0.1:50051"});
//   LoadReport report = MakeLoadReport(*plan, *result);
#ifndef DIFFUSIOND_CLIENT_LOAD_LOAD_RUN_H_
#define DIFFUSIOND_CLIENT_LOAD_LOAD_RUN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cancellation.h"
#include "client/load/load_plan.h"
#include "client/load/load_record.h"
#include "grpcpp/security/credentials.h"

namespace diffusiond {

inline constexpr int kMaxLoadChannels = 64;
inline constexpr int kMaxLoadInFlight = 100'000;  // About 25 kB each, here.

struct LoadProgress {
  absl::Duration elapsed = absl::ZeroDuration();
  int64_t planned = 0;
  int64_t sent = 0;
  int64_t not_sent = 0;  // In-flight limit.
  int64_t in_flight = 0;
  int64_t ok = 0;
  int64_t refused = 0;
  int64_t other = 0;  // Ended in any other way.
};

struct LoadRunOptions {
  std::string target = {};  // As gRPC takes it: "host:port".
  std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr;  // Null: plaintext.
  // Connections, 1 .. kMaxLoadChannels, taken in turn.
  int channels = 4;
  // Streams open at once, 1 .. kMaxLoadInFlight. What comes on top is not sent, and counted.
  int max_in_flight = 10'000;
  // For the connections, before the first request. Above 0.
  absl::Duration connect_timeout = absl::Seconds(10);
  // What still runs so long after the last request is cancelled and counted as failed.
  absl::Duration drain_timeout = absl::Minutes(10);
  // Thrown: nothing more is sent, what runs is cancelled, and the run ends with what it has. Not
  // owned; null: never.
  const Cancellation* cancellation = nullptr;
  // At the start, then every so often, then at the end; on the caller's thread, which sends nothing
  // meanwhile. May be empty.
  std::function<void(const LoadProgress&)> on_progress = nullptr;
  absl::Duration progress_interval = absl::Seconds(1);
  // Time since any fixed moment. Thread-safe. Null: std::chrono::steady_clock.
  std::function<absl::Duration()> now = nullptr;
};

struct LoadResult {
  std::vector<LoadRecord> records = {};  // By index of the plan's requests.
  // The plan's window, or until the run was stopped.
  absl::Duration window = absl::ZeroDuration();
  bool stopped = false;             // By the cancellation.
  absl::Status first_failure = {};  // Of the requests that failed; OK: none did.
};

// Blocks until every request has ended. Connects first, so that no request pays for it. Errors:
// INVALID_ARGUMENT for an option out of its range; UNAVAILABLE with IsUnreachable
// (client/rpc_error.h) when there is no server; CANCELLED when stopped before it was connected.
// Once requests are sent, what happens to them is the records' affair.
absl::StatusOr<LoadResult> RunLoad(const LoadPlan& plan, const LoadRunOptions& options);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_LOAD_LOAD_RUN_H_
