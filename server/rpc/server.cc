#include "server/rpc/server.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "grpc/health/v1/health.pb.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "server/rpc/compressed_requests.h"

namespace diffusiond {
namespace {

// A client whose machine or network is gone without a word is noticed within a minute and a half,
// and clients may ask in the same way: common ones do so every five or ten seconds, and one that
// asks more often than allowed is sent away.
constexpr int kKeepaliveTimeMs = 60'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
constexpr int kMinClientPingIntervalMs = 1'000;

// For answers that are written but not yet sent when the server goes.
constexpr absl::Duration kFlushGrace = absl::Seconds(1);

std::shared_ptr<const ServiceContext> MakeContext(const Server::Options& options, Engine* engine,
                                                  const ModelCatalog* catalog,
                                                  EncoderPool* encoders, RpcMetrics* metrics,
                                                  CallTracker* calls, StallWatch* stalls) {
  auto context = std::make_shared<ServiceContext>();
  context->engine = engine;
  context->catalog = catalog;
  context->encoders = encoders;
  context->calls = calls;
  context->metrics = metrics;
  context->limits = options.limits;
  context->stalls = stalls;
  context->random = options.random;
  context->now = options.now;
  context->log_line = options.log_line;
  return context;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(Options options, Engine* engine,
                                                      const ModelCatalog* catalog,
                                                      EncoderPool* encoders, RpcMetrics* metrics) {
  std::unique_ptr<Server> server(
      new Server(std::move(options), engine, catalog, encoders, metrics));
  if (absl::Status status = server->Listen(); !status.ok()) return status;
  return server;
}

Server::Server(Options options, Engine* engine, const ModelCatalog* catalog, EncoderPool* encoders,
               RpcMetrics* metrics)
    : options_(std::move(options)),
      engine_(engine),
      catalog_(catalog),
      stalls_(options_.stream_stall_timeout),
      service_(MakeContext(options_, engine, catalog, encoders,
                           metrics != nullptr ? metrics : &no_metrics_, &calls_, &stalls_)) {}

absl::Status Server::Listen() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  // gRPC's own health service carries no descriptor; using one of the compiled messages links it,
  // so that reflection can describe grpc.health.v1.
  grpc::health::v1::HealthCheckRequest::descriptor();

  grpc::ServerBuilder builder;
  builder.RegisterService(&service_);
  builder.SetMaxReceiveMessageSize(options_.max_request_bytes);
  if (!options_.accept_compressed_requests) RefuseCompressedRequests(&builder);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinClientPingIntervalMs);
  if (options_.max_connection_age != absl::InfiniteDuration()) {
    // Without a limit on the grace that calls have then: none is cut off.
    builder.AddChannelArgument(
        GRPC_ARG_MAX_CONNECTION_AGE_MS,
        static_cast<int>(absl::ToInt64Milliseconds(options_.max_connection_age)));
  }
  // Two servers on one port would each get some of the calls, which nobody means.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  if (!options_.listen_address.empty()) {
    builder.AddListeningPort(options_.listen_address, grpc::InsecureServerCredentials(), &port_);
  }
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", options_.listen_address,
                                               ": address in use, not this machine's, or not "
                                               "permitted"));
  }
  absl::MutexLock lock(&mu_);
  UpdateHealth();
  return absl::OkStatus();
}

Server::~Server() {
  if (server_ == nullptr) return;
  server_->Shutdown(absl::ToChronoTime(absl::Now() + kFlushGrace));
  server_->Wait();
}

std::shared_ptr<grpc::Channel> Server::InProcessChannel() {
  return server_->InProcessChannel(grpc::ChannelArguments());
}

void Server::SetWorkersRunning(bool running) {
  absl::MutexLock lock(&mu_);
  workers_running_ = running;
  UpdateHealth();
}

void Server::OnCatalogChanged() {
  absl::MutexLock lock(&mu_);
  UpdateHealth();
}

void Server::UpdateHealth() {
  const bool serving = workers_running_ && !draining_ && !catalog_->empty();
  grpc::HealthCheckServiceInterface* const health = server_->GetHealthCheckService();
  health->SetServingStatus("", serving);
  health->SetServingStatus(v1::DiffusionService::service_full_name(), serving);
  health->SetServingStatus(kLivenessService, workers_running_);
}

bool Server::Drain(absl::Time deadline) {
  calls_.StartDraining();
  {
    absl::MutexLock lock(&mu_);
    draining_ = true;
    UpdateHealth();
  }
  const bool generated = engine_->Drain(deadline);
  // What the engine has given up is told to its clients in this time.
  const absl::Time flushed = std::max(deadline, options_.now() + kFlushGrace);
  return calls_.AwaitIdle(flushed) && generated;
}

}  // namespace diffusiond
