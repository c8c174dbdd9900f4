// "Not now": a refusal that says when it is worth asking again.
#ifndef DIFFUSIOND_SERVER_ENGINE_REFUSAL_H_
#define DIFFUSIOND_SERVER_ENGINE_REFUSAL_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace diffusiond {

enum class RefusalReason {
  kQueueFull,
  kOverShare,      // The queue has room, but not for this tenant, address or class now.
  kDeadline,       // It could not be met.
  kMemory,         // What waits holds too many bytes.
  kPictures,       // Too many start pictures wait to be read.
  kIdentityLimit,  // What the access file grants the caller is in use.
};

// RESOURCE_EXHAUSTED. `retry_after` is clamped to 10 ms .. 1 min.
absl::Status Refusal(RefusalReason reason, const std::string& message, absl::Duration retry_after);

// Nothing if `status` is no Refusal.
std::optional<RefusalReason> RefusalReasonOf(const absl::Status& status);
std::optional<absl::Duration> RetryAfter(const absl::Status& status);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_REFUSAL_H_
