#include "server/engine/refusal.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

constexpr absl::Duration kShortestRetry = absl::Milliseconds(10);
constexpr absl::Duration kLongestRetry = absl::Minutes(1);

// Payloads of the status, in decimal.
constexpr char kReason[] = "diffusiond/refusal_reason";
constexpr char kRetryAfter[] = "diffusiond/retry_after_ms";

std::optional<int64_t> Number(const absl::Status& status, const char* payload) {
  const absl::optional<absl::Cord> text = status.GetPayload(payload);
  int64_t number = 0;
  if (!text.has_value() || !absl::SimpleAtoi(std::string(*text), &number)) return std::nullopt;
  return number;
}

}  // namespace

absl::Status Refusal(RefusalReason reason, const std::string& message, absl::Duration retry_after) {
  absl::Status status = absl::ResourceExhaustedError(message);
  retry_after = std::clamp(retry_after, kShortestRetry, kLongestRetry);
  status.SetPayload(kReason, absl::Cord(absl::StrCat(static_cast<int>(reason))));
  status.SetPayload(kRetryAfter, absl::Cord(absl::StrCat(absl::ToInt64Milliseconds(retry_after))));
  return status;
}

std::optional<RefusalReason> RefusalReasonOf(const absl::Status& status) {
  const std::optional<int64_t> number = Number(status, kReason);
  if (!number.has_value()) return std::nullopt;
  return static_cast<RefusalReason>(*number);
}

std::optional<absl::Duration> RetryAfter(const absl::Status& status) {
  const std::optional<int64_t> number = Number(status, kRetryAfter);
  if (!number.has_value()) return std::nullopt;
  return absl::Milliseconds(*number);
}

}  // namespace diffusiond
