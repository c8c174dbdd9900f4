#include "server/rpc/server.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "grpc/grpc.h"
#include "grpc/health/v1/health.pb.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/server_builder.h"
#include "model/status/status_macros.h"
#include "server/rpc/goaway.h"
#include "server/rpc/reflection.h"

namespace diffusiond {
namespace {

// For answers that are written but not yet sent when the server goes.
constexpr absl::Duration kFlushGrace = absl::Seconds(1);

// What clients get to hear that they are to go: some round trips of a distant one, whose connection
// was only just made. How often is looked whether all have gone.
constexpr absl::Duration kLeaveGrace = absl::Seconds(2);
constexpr absl::Duration kLeaveLook = absl::Milliseconds(10);

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
            .log = options_.log,
            .on_left_out = [this](const std::string& code) { metrics_->OnLogLineLeftOut(code); }}),
      tracer_(options_.tracing, options_.random),
      open_to_all_(options_.access == nullptr ? AccessControl::OpenToAll(options_.now) : nullptr),
      access_(options_.access == nullptr ? open_to_all_.get() : options_.access),
      gate_(access_, &log_, options_.access_log),
      memory_(options_.max_waiting_bytes),
      decoders_(std::move(decoders)),
      stalls_(options_.stall_timeout),
      context_(MakeContext()),
      service_(context_) {}

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
  context->call_limit_passed = [this](const std::string& peer) {
    return port_ != nullptr ? port_->CallLimitPassed(peer) : nullptr;
  };
  context->limits = options_.limits;
  context->progress_interval = options_.progress_interval;
  context->random = options_.random;
  context->now = options_.now;
  context->log = &log_;
  context->access_log = options_.access_log;
  context->tracer = &tracer_;
  context->access = access_;
  context->gate = &gate_;
  return context;
}

absl::Status Server::Listen() {
  grpc::EnableDefaultHealthCheckService(true);
  // gRPC's own health service carries no descriptor; using one of the compiled messages links it,
  // so that reflection can describe grpc.health.v1.
  grpc::health::v1::HealthCheckRequest::descriptor();

  grpc::ServerBuilder builder;
  SetReflection(options_.reflection, &builder);
  builder.RegisterService(&service_);
  SetTransportLimits(options_.transport, &builder);
  if (!options_.listen_address.empty()) {
    Listener::Options listening;
    listening.address = options_.listen_address;
    listening.limits = options_.transport.connections;
    listening.rate = options_.transport.connection_rate;
    listening.metrics = metrics_;
    ASSIGN_OR_RETURN(port_, ServerPort::Bind(listening, gate_, &builder));
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

void Server::LetConnectionsGo(absl::Time deadline) {
  port_->Close();
  const auto may_come = [&] {
    // By the other front also over connections that are not there yet.
    const bool any = other_front_.has_value() || port_->CountOpen() > 0;
    return any && options_.now() < deadline;
  };
  for (absl::Duration waited; waited < options_.lame_duck && may_come(); waited += kLeaveLook) {
    absl::SleepFor(kLeaveLook);
  }
  port_->HoldOpen();
  if (other_front_.has_value()) other_front_->close_idle();
  const auto are_there = [&] {
    const int others = other_front_.has_value() ? other_front_->count_open() : 0;
    return port_->CountOpen() + others > 0 && options_.now() < deadline;
  };
  for (absl::Duration waited; waited < kLeaveGrace && are_there(); waited += kLeaveLook) {
    // Those, too, whose handshake has ended since the last look.
    if (!TellConnectionsToGo(*server_)) return;
    absl::SleepFor(kLeaveLook);
  }
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

bool Server::IsServing() {
  absl::MutexLock lock(&mu_);
  return Serves();
}

bool Server::Serves() const { return workers_running_ && !draining_ && !catalog_->empty(); }

void Server::UpdateHealth() {
  if (server_ == nullptr) return;  // Listen does so.
  const bool serving = Serves();
  grpc::HealthCheckServiceInterface* const health = server_->GetHealthCheckService();
  health->SetServingStatus("", serving);
  health->SetServingStatus(v1::DiffusionService::service_full_name(), serving);
  health->SetServingStatus(kLivenessService, workers_running_);
}

bool Server::Drain(absl::Time deadline) {
  // Channels in this process know no GOAWAY: who sees what health says by one is refused at once.
  if (port_ == nullptr) calls_.StartDraining();
  // Before its clients can see that the server drains.
  if (other_front_.has_value()) other_front_->leave();
  {
    absl::MutexLock lock(&mu_);
    draining_ = true;
    UpdateHealth();
  }
  if (port_ != nullptr) LetConnectionsGo(deadline);
  calls_.StartDraining();
  if (port_ != nullptr) SendAway();
  const bool generated = engine_->Drain(deadline);
  // What the engine has given up is told to its clients in this time.
  const absl::Time flushed = std::max(deadline, options_.now() + kFlushGrace);
  return calls_.AwaitIdle(flushed) && generated;
}

}  // namespace diffusiond
