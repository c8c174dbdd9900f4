#include "server/rpc/server.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "grpc/grpc.h"
#include "grpc/health/v1/health.pb.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/server_builder.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// For answers that are written but not yet sent when the server goes.
constexpr absl::Duration kFlushGrace = absl::Seconds(1);

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(Options options, Engine* engine,
                                                      const ModelCatalog* catalog,
                                                      RpcMetrics* metrics) {
  ASSIGN_OR_RETURN(std::unique_ptr<Server> server,
                   Create(std::move(options), engine, catalog, metrics));
  RETURN_IF_ERROR(server->Listen());
  return server;
}

absl::StatusOr<std::unique_ptr<Server>> Server::Create(Options options, Engine* engine,
                                                       const ModelCatalog* catalog,
                                                       RpcMetrics* metrics) {
  ASSIGN_OR_RETURN(std::unique_ptr<DecoderPool> decoders, DecoderPool::Create(options.decoders));
  return std::unique_ptr<Server>(
      new Server(std::move(options), engine, catalog, std::move(decoders), metrics));
}

Server::Server(Options options, Engine* engine, const ModelCatalog* catalog,
               std::unique_ptr<DecoderPool> decoders, RpcMetrics* metrics)
    : options_(std::move(options)),
      engine_(engine),
      catalog_(catalog),
      metrics_(metrics != nullptr ? metrics : &no_metrics_),
      log_({.refusals_per_second = options_.refusals_logged_per_second,
            .now = options_.now,
            .log_line = options_.log_line,
            .on_left_out = [this](const std::string& code) { metrics_->OnLogLineLeftOut(code); }}),
      memory_(options_.max_waiting_bytes),
      decoders_(std::move(decoders)),
      stalls_(options_.stall_timeout),
      service_(MakeContext()) {}

std::shared_ptr<const ServiceContext> Server::MakeContext() {
  auto context = std::make_shared<ServiceContext>();
  context->engine = engine_;
  context->catalog = catalog_;
  context->encode = options_.encode;
  context->decoders = decoders_.get();
  context->memory = &memory_;
  context->calls = &calls_;
  context->stalls = &stalls_;
  context->metrics = metrics_;
  context->limits = options_.limits;
  context->random = options_.random;
  context->now = options_.now;
  context->log = &log_;
  return context;
}

absl::Status Server::Listen() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  // gRPC's own health service carries no descriptor; using one of the compiled messages links it,
  // so that reflection can describe grpc.health.v1.
  grpc::health::v1::HealthCheckRequest::descriptor();

  grpc::ServerBuilder builder;
  builder.RegisterService(&service_);
  SetTransportLimits(options_.transport, &builder);
  if (!options_.listen_address.empty()) {
    Listener::Options listening;
    listening.address = options_.listen_address;
    listening.limits = options_.transport.connections;
    listening.metrics = metrics_;
    ASSIGN_OR_RETURN(port_, ServerPort::Bind(listening, &builder));
  }
  {
    absl::MutexLock lock(&mu_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) return absl::UnavailableError("gRPC cannot start");
    UpdateHealth();  // Before anybody can ask for it.
  }
  if (port_ != nullptr) port_->Start();
  return absl::OkStatus();
}

Server::~Server() {
  if (server_ == nullptr) return;
  SendAway();
  {
    absl::MutexLock lock(&mu_);
    const bool flushed =
        mu_.AwaitWithDeadline(absl::Condition(&shut_down_), absl::Now() + kFlushGrace);
    if (!flushed) grpc_server_cancel_all_calls(server_->c_server());
  }
  shutdown_.join();
  server_->Wait();
}

void Server::SendAway() {
  if (shutdown_.joinable()) return;
  if (port_ != nullptr) port_->Close();
  shutdown_ = std::thread([this] {
    server_->Shutdown();  // GOAWAY; returns when the last call has ended.
    absl::MutexLock lock(&mu_);
    shut_down_ = true;
  });
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
  if (server_ == nullptr) return;  // Listen does so.
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
  // Channels in this process know no GOAWAY.
  if (port_ != nullptr) SendAway();
  const bool generated = engine_->Drain(deadline);
  // What the engine has given up is told to its clients in this time.
  const absl::Time flushed = std::max(deadline, options_.now() + kFlushGrace);
  return calls_.AwaitIdle(flushed) && generated;
}

}  // namespace diffusiond
