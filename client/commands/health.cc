#include <algorithm>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/commands/commands.h"
#include "client/commands/connection.h"
#include "client/commands/json_results.h"
#include "client/message_json.h"
#include "client/rpc_error.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/client_context.h"

ABSL_FLAG(
    std::string, service, "",
    "=NAME: whose health; liveness: the server's while a worker runs, with or without a model");
ABSL_FLAG(diffusiond::DurationFlag, wait, {absl::ZeroDuration()},
          "=SECONDS: ask again until the server serves, for at most so long");

namespace diffusiond {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr absl::Duration kCheckTimeout = absl::Seconds(5);
constexpr absl::Duration kShortestTimeout = absl::Milliseconds(500);  // Of a call at a wait's end.
constexpr absl::Duration kPause = absl::Milliseconds(200);

// OK: serving. The call's own timeout keeps a hung server from looking healthy for ever.
absl::Status Check(grpc::health::v1::Health::Stub& stub, const DiffusionClient& client,
                   absl::Duration timeout, const CommandContext& context,
                   HealthCheckResponse* response) {
  HealthCheckRequest request;
  request.set_service(absl::GetFlag(FLAGS_service));
  grpc::ClientContext call;
  call.set_deadline(absl::ToChronoTime(context.now() + timeout));
  const CancellationWatcher watcher(context.cancellation, [&call] { call.TryCancel(); });
  const grpc::Status checked = stub.Check(&call, request, response);
  if (!checked.ok()) return StatusFromRpc(checked, client.target(), timeout);
  if (response->status() == HealthCheckResponse::SERVING) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("the server at ", client.target(), " says ",
                   HealthCheckResponse::ServingStatus_Name(response->status())));
}

int Run(const std::vector<std::string>&, CommandContext& context) {
  const auto client = ConnectByFlags();
  if (!client.ok()) return ReportError(client.status(), context);
  const auto stub = grpc::health::v1::Health::NewStub((*client)->channel());
  const bool waits = absl::GetFlag(FLAGS_wait).value > absl::ZeroDuration();
  const absl::Time until = context.now() + absl::GetFlag(FLAGS_wait).value;
  absl::Status status;
  HealthCheckResponse response;
  do {
    // Also the last call ends with the wait, or soon after.
    const absl::Duration left = std::max(until - context.now(), kShortestTimeout);
    const absl::Duration most = waits ? std::min(left, kCheckTimeout) : kCheckTimeout;
    const absl::Duration timeout = std::min(most, absl::GetFlag(FLAGS_deadline).value);
    response.Clear();
    status = Check(*stub, **client, timeout, context, &response);
    if (status.ok()) break;
    if (context.now() >= until) break;
  } while (!context.cancellation->WaitFor(std::min(kPause, until - context.now())));
  if (absl::GetFlag(FLAGS_json)) {
    *context.out << MessageJson(response);
  } else if (status.ok()) {
    *context.out << "serving\n";
  }
  return status.ok() ? kExitOk : ReportError(status, context);
}

}  // namespace

Command HealthCommand() {
  return {.name = "health",
          .arguments = "",
          .summary = "ask whether the server serves: 0 if so, else 1",
          .details =
              "With --json: {\"status\": \"SERVING\"}, or NOT_SERVING, or UNKNOWN if nobody "
              "answered.\n",
          .flags = WithConnectionFlags({"service", "wait", "json"}),
          .run = Run};
}

}  // namespace diffusiond
