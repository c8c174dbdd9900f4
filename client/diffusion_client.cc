#include "client/diffusion_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/generate_event_checker.h"
#include "client/rpc_error.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "model/process/quoted_value.h"
#include "model/status/status_macros.h"
#include "proto/metadata_keys.h"

namespace diffusiond {
namespace {

// A server that comes back is found within a second, not after gRPC's up to two minutes.
constexpr int kFirstReconnectMs = 200;
constexpr int kLongestReconnectMs = 1000;

// One call's context: its deadline, and its tie to the caller's cancellation.
class Call {
 public:
  Call(const CallOptions& options, const std::string& target) : options_(options), target_(target) {
    if (options.timeout != absl::InfiniteDuration()) {
      context_.set_deadline(absl::ToChronoTime(absl::Now() + options.timeout));
    }
    if (!options.tenant.empty()) context_.AddMetadata(kTenantMetadata, options.tenant);
    watcher_.emplace(options.cancellation, [this] { context_.TryCancel(); });
  }

  grpc::ClientContext* context() { return &context_; }

  absl::Status ToStatus(const grpc::Status& status) const {
    const bool asked_to_stop =
        options_.cancellation != nullptr && options_.cancellation->cancelled();
    if (status.error_code() == grpc::StatusCode::CANCELLED && asked_to_stop) {
      return absl::CancelledError("cancelled by the caller");
    }
    return StatusFromRpc(status, target_, options_.timeout);
  }

 private:
  const CallOptions& options_;
  const std::string& target_;
  grpc::ClientContext context_;
  std::optional<CancellationWatcher> watcher_;  // Last: it uses context_.
};

void Report(const GenerateCallbacks& callbacks, const v1::GenerateEvent& event) {
  const auto report = [](const auto& callback, const auto& argument) {
    if (callback) callback(argument);
  };
  if (event.has_accepted()) report(callbacks.on_accepted, event.accepted());
  if (event.has_progress()) report(callbacks.on_progress, event.progress());
  if (event.has_preview()) report(callbacks.on_preview, event.preview());
  if (event.has_image()) report(callbacks.on_image, event.image());
}

bool IsLoopback(const std::string& target) {
  for (const char* prefix : {"127.", "localhost:", "[::1]", "ipv4:127.", "ipv6:[::1]", "unix:"}) {
    if (absl::StartsWith(target, prefix)) return true;
  }
  return false;
}

}  // namespace

absl::Status CheckTenant(const std::string& tenant) {
  const bool printable = std::all_of(tenant.begin(), tenant.end(), absl::ascii_isprint);
  if (printable && tenant.size() <= kMaxTenantBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("tenant is ", QuoteValue(tenant),
                                                 ", expected at most ", kMaxTenantBytes,
                                                 " printable ASCII characters"));
}

absl::StatusOr<std::unique_ptr<DiffusionClient>> DiffusionClient::Connect(
    const std::string& target, const ClientOptions& options) {
  if (target.empty()) {
    return absl::InvalidArgumentError("the server's address is empty, expected host:port");
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(options.max_message_bytes);
  if (options.own_connection) arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kLongestReconnectMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(options.ping_interval)));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(options.ping_timeout)));
  // A stream on which we send nothing more is pinged all the same.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A proxy from the environment has nothing to do with a server on this machine.
  if (IsLoopback(target)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return std::make_unique<DiffusionClient>(
      grpc::CreateCustomChannel(
          target,
          options.credentials != nullptr ? options.credentials : grpc::InsecureChannelCredentials(),
          arguments),
      target);
}

DiffusionClient::DiffusionClient(std::shared_ptr<grpc::Channel> channel, std::string target)
    : channel_(std::move(channel)),
      target_(std::move(target)),
      stub_(v1::DiffusionService::NewStub(channel_)) {}

absl::StatusOr<v1::Completed> DiffusionClient::Generate(const v1::GenerateRequest& request,
                                                        const GenerateCallbacks& callbacks,
                                                        const CallOptions& options) const {
  RETURN_IF_ERROR(CheckTenant(options.tenant));
  Call call(options, target_);
  const std::unique_ptr<grpc::ClientReader<v1::GenerateEvent>> reader =
      stub_->Generate(call.context(), request);
  GenerateEventChecker checker;
  absl::Status checked;
  v1::Completed completed;
  v1::GenerateEvent event;
  while (reader->Read(&event)) {
    if (!checked.ok()) continue;
    checked = checker.Check(event);
    if (!checked.ok()) {
      // What is still on its way is read and dropped: Finish waits for the stream's end.
      call.context()->TryCancel();
      continue;
    }
    Report(callbacks, event);
    if (event.has_completed()) completed = std::move(*event.mutable_completed());
  }
  const grpc::Status finished = reader->Finish();
  if (!checked.ok()) return checked;
  if (!finished.ok()) return call.ToStatus(finished);
  checked = checker.CheckEnd();
  if (!checked.ok()) return checked;
  return completed;
}

absl::StatusOr<v1::GenerateImagesResponse> DiffusionClient::GenerateImages(
    const v1::GenerateRequest& request, const CallOptions& options) const {
  RETURN_IF_ERROR(CheckTenant(options.tenant));
  Call call(options, target_);
  v1::GenerateImagesResponse response;
  const grpc::Status finished = stub_->GenerateImages(call.context(), request, &response);
  if (!finished.ok()) return call.ToStatus(finished);
  RETURN_IF_ERROR(CheckGenerateImagesResponse(response));
  return response;
}

absl::StatusOr<v1::ListModelsResponse> DiffusionClient::ListModels(
    const CallOptions& options) const {
  RETURN_IF_ERROR(CheckTenant(options.tenant));
  Call call(options, target_);
  v1::ListModelsResponse response;
  const grpc::Status finished = stub_->ListModels(call.context(), {}, &response);
  if (!finished.ok()) return call.ToStatus(finished);
  return response;
}

absl::StatusOr<v1::Model> DiffusionClient::GetModel(const std::string& name,
                                                    const CallOptions& options) const {
  RETURN_IF_ERROR(CheckTenant(options.tenant));
  Call call(options, target_);
  v1::GetModelRequest request;
  request.set_model(name);
  v1::Model model;
  const grpc::Status finished = stub_->GetModel(call.context(), request, &model);
  if (!finished.ok()) return call.ToStatus(finished);
  return model;
}

}  // namespace diffusiond
