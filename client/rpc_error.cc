#include "client/rpc_error.h"

#include <map>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "google/rpc/status.pb.h"
#include "model/process/printable_text.h"

namespace diffusiond {
namespace {

constexpr absl::string_view kBadRequestUrl = "type.googleapis.com/google.rpc.BadRequest";
constexpr absl::string_view kRetryInfoUrl = "type.googleapis.com/google.rpc.RetryInfo";
// gRPC's words for a ping without an answer.
constexpr absl::string_view kNoPong = "keepalive watchdog timeout";
// Its words for a call whose time is over, of which the server said nothing.
constexpr absl::string_view kDeadlinePassed = "Deadline Exceeded";
// Its words for a message above the receiver's limit: "... than max (5242893 vs. 4194304)".
constexpr absl::string_view kTooLarge = "Received message larger than max";
constexpr absl::string_view kWhatIsLarge =
    ": of a request, init_image, mask and init_noise count, and the limit is the server's "
    "--max_request_bytes";
constexpr absl::string_view kUnreachableUrl = "diffusiond.v1/unreachable";

// gRPC says "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to
// connect to remote host: Connection refused" or "DNS resolution failed for ...: ...".
bool IsConnectFailure(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE &&
         (absl::StrContains(status.error_message(), "failed to connect to all addresses") ||
          absl::StrContains(status.error_message(), "DNS resolution failed"));
}

absl::string_view ConnectFailureReason(absl::string_view message) {
  for (const absl::string_view marker : {"remote host: ", "last error: "}) {
    const size_t at = message.rfind(marker);
    if (at != message.npos) return message.substr(at + marker.size());
  }
  return message;
}

absl::Duration ToDuration(const google::protobuf::Duration& proto) {
  return absl::Seconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

// The message says on one line what the details say field by field.
bool RepeatsAll(absl::string_view message, const google::rpc::BadRequest& bad_request) {
  for (const auto& violation : bad_request.field_violations()) {
    if (!absl::StrContains(message, violation.description())) return false;
  }
  return bad_request.field_violations_size() > 0;
}

std::string ViolationLine(const std::string& field) {
  return absl::StrCat("\n  ", Printable(field), ": ");
}

// With all that `status` has but for its message.
absl::Status WithMessage(const std::string& message, const absl::Status& status) {
  absl::Status other(status.code(), message);
  status.ForEachPayload([&other](absl::string_view url, const absl::Cord& payload) {
    other.SetPayload(url, payload);
  });
  return other;
}

template <typename Proto>
std::optional<Proto> PayloadOf(const absl::Status& status, absl::string_view url) {
  const absl::optional<absl::Cord> payload = status.GetPayload(url);
  Proto proto;
  if (!payload.has_value() || !proto.ParseFromString(std::string(*payload))) return std::nullopt;
  return proto;
}

}  // namespace

absl::Status StatusFromRpc(const grpc::Status& status, const std::string& target,
                           absl::Duration timeout) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  if (IsConnectFailure(status)) {
    absl::Status unreachable(code,
                             absl::StrCat("cannot reach a server at ", target, ": ",
                                          Printable(ConnectFailureReason(status.error_message()))));
    unreachable.SetPayload(kUnreachableUrl, absl::Cord());
    return unreachable;
  }

  std::string message = status.error_message();
  if (message == kNoPong) {
    message = absl::StrCat("the server at ", target, " answers nothing any more, pings neither");
  }
  if (message.empty()) message = absl::StrCat("the server at ", target, " gave no reason");
  if (absl::IsDeadlineExceeded(absl::Status(code, "")) && timeout != absl::InfiniteDuration()) {
    const std::string late = absl::StrCat("not finished within ", absl::FormatDuration(timeout));
    message = message == kDeadlinePassed ? absl::StrCat(late, " by the server at ", target)
                                         : absl::StrCat(late, ": ", message);
  }
  if (absl::StartsWith(message, kTooLarge)) absl::StrAppend(&message, kWhatIsLarge);
  google::rpc::BadRequest bad_request;
  google::rpc::RetryInfo retry_info;
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& detail : details.details()) {
      if (detail.Is<google::rpc::BadRequest>()) detail.UnpackTo(&bad_request);
      if (detail.Is<google::rpc::RetryInfo>()) detail.UnpackTo(&retry_info);
    }
  }
  if (RepeatsAll(message, bad_request)) {
    const int wrong = bad_request.field_violations_size();
    message = wrong == 1 ? "a field of the request is wrong"
                         : absl::StrCat(wrong, " fields of the request are wrong");
  }
  message = Printable(message);
  for (const auto& violation : bad_request.field_violations()) {
    absl::StrAppend(&message, ViolationLine(violation.field()), Printable(violation.description()));
  }
  if (retry_info.has_retry_delay()) {
    absl::StrAppend(&message, "\n  try again in ",
                    absl::FormatDuration(ToDuration(retry_info.retry_delay())));
  }
  absl::Status result(code, message);
  if (bad_request.field_violations_size() > 0) {
    result.SetPayload(kBadRequestUrl, absl::Cord(bad_request.SerializeAsString()));
  }
  if (retry_info.has_retry_delay()) {
    result.SetPayload(kRetryInfoUrl, absl::Cord(retry_info.SerializeAsString()));
  }
  return result;
}

absl::Status WithFieldNames(const absl::Status& status,
                            const std::function<std::string(const std::string&)>& name) {
  std::map<std::string, std::string> lines;
  const google::rpc::BadRequest bad_request = BadRequestOf(status);
  for (const auto& violation : bad_request.field_violations()) {
    lines[ViolationLine(violation.field())] = ViolationLine(name(violation.field()));
  }
  return WithMessage(absl::StrReplaceAll(status.message(), lines), status);
}

absl::Status WithPrefix(const std::string& prefix, const absl::Status& status) {
  return WithMessage(absl::StrCat(prefix, ": ", status.message()), status);
}

google::rpc::BadRequest BadRequestOf(const absl::Status& status) {
  return PayloadOf<google::rpc::BadRequest>(status, kBadRequestUrl)
      .value_or(google::rpc::BadRequest());
}

std::optional<absl::Duration> RetryDelayOf(const absl::Status& status) {
  const auto info = PayloadOf<google::rpc::RetryInfo>(status, kRetryInfoUrl);
  if (!info.has_value() || !info->has_retry_delay()) return std::nullopt;
  return ToDuration(info->retry_delay());
}

bool IsUnreachable(const absl::Status& status) {
  return status.GetPayload(kUnreachableUrl).has_value();
}

}  // namespace diffusiond
