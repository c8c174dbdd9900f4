#include "client/rpc_error.h"

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "google/rpc/status.pb.h"
#include "model/process/printable_text.h"

namespace diffusiond {
namespace {

constexpr absl::string_view kBadRequestUrl = "type.googleapis.com/google.rpc.BadRequest";
constexpr absl::string_view kRetryInfoUrl = "type.googleapis.com/google.rpc.RetryInfo";
// gRPC's words for a ping without an answer.
constexpr absl::string_view kNoPong = "keepalive watchdog timeout";
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

template <typename Proto>
std::optional<Proto> PayloadOf(const absl::Status& status, absl::string_view url) {
  const absl::optional<absl::Cord> payload = status.GetPayload(url);
  Proto proto;
  if (!payload.has_value() || !proto.ParseFromString(std::string(*payload))) return std::nullopt;
  return proto;
}

}  // namespace

absl::Status StatusFromRpc(const grpc::Status& status, const std::string& target) {
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
    absl::StrAppend(&message, "\n  ", Printable(violation.field()), ": ",
                    Printable(violation.description()));
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
