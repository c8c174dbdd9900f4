#include "server/rpc/admin_server.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/server_builder.h"
#include "model/checkpoint/model_versions.h"
#include "model/status/status_macros.h"
#include "server/rpc/field_violations.h"
#include "server/rpc/reflection.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/transport_limits.h"

namespace diffusiond {
namespace {

// Operators are few, and ask little.
constexpr TransportLimits kLimits = {
    .connections = {.total = 128, .per_address = 64},
    .calls_per_connection = 64,
    .bytes = size_t{64} << 20,
    .request_bytes = 1 << 20,
};

// What calls get that still run at the end; then they are cancelled.
constexpr std::chrono::seconds kLastCalls{1};

// Of a name in a log line, where a request may hold anything.
constexpr size_t kMaxModelBytes = 200;

v1::VersionState ToProto(VersionInfo::State state) {
  switch (state) {
    case VersionInfo::State::kOnDisk:
      return v1::VERSION_STATE_ON_DISK;
    case VersionInfo::State::kServing:
      return v1::VERSION_STATE_SERVING;
    case VersionInfo::State::kKept:
      return v1::VERSION_STATE_KEPT;
    case VersionInfo::State::kDraining:
      return v1::VERSION_STATE_DRAINING;
    case VersionInfo::State::kRefused:
      return v1::VERSION_STATE_REFUSED;
  }
  return v1::VERSION_STATE_UNSPECIFIED;
}

v1::ModelVersions ToProto(const ModelVersionsInfo& model) {
  v1::ModelVersions message;
  message.set_model(model.name);
  message.set_pinned(static_cast<uint32_t>(model.pinned.value_or(0)));
  message.set_held(static_cast<uint32_t>(model.held.value_or(0)));
  message.set_problem(model.problem);
  for (const VersionInfo& info : model.versions) {
    v1::ModelVersion* version = message.add_versions();
    version->set_version(static_cast<uint32_t>(info.version));
    version->set_state(ToProto(info.state));
    version->set_digest(info.digest);
    version->set_published(info.published);
    version->set_refusal(info.refusal);
  }
  return message;
}

absl::Status CheckVersion(uint32_t version) {
  if (version <= static_cast<uint32_t>(kMaxModelVersion)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("version is ", version, "; it must be 0 .. ", kMaxModelVersion));
}

class ModelAdminService final : public v1::ModelAdmin::Service {
 public:
  ModelAdminService(ModelAdmin* admin, const AccessGate* gate, CallLog* log, AccessLog* calls)
      : admin_(admin), gate_(gate), log_(log), calls_(calls) {}

  grpc::Status ListVersions(grpc::ServerContext* rpc, const v1::ListVersionsRequest* request,
                            v1::ListVersionsResponse* response) override {
    const auto caller = gate_->AdmitRequest("/diffusiond.v1.ModelAdmin/ListVersions", *rpc);
    if (!caller.ok()) return ToGrpcStatus(caller.status());
    const auto models = admin_->ListModelVersions(request->model());
    if (!models.ok()) return ToGrpcStatus(models.status());
    for (const ModelVersionsInfo& model : *models) *response->add_models() = ToProto(model);
    return grpc::Status::OK;
  }

  grpc::Status LoadVersion(grpc::ServerContext* rpc, const v1::LoadVersionRequest* request,
                           v1::ModelVersions* response) override {
    return Change(&ModelAdmin::LoadModelVersion, "LoadVersion", *rpc, *request, response);
  }

  grpc::Status Rollback(grpc::ServerContext* rpc, const v1::RollbackRequest* request,
                        v1::ModelVersions* response) override {
    return Change(&ModelAdmin::RollBackModel, "Rollback", *rpc, *request, response);
  }

 private:
  using Changer = absl::StatusOr<ModelVersionsInfo> (ModelAdmin::*)(const std::string&, int);

  template <typename Request>
  grpc::Status Change(Changer change, const char* method, const grpc::ServerContext& rpc,
                      const Request& request, v1::ModelVersions* response) {
    const auto caller =
        gate_->AdmitRequest(absl::StrCat("/diffusiond.v1.ModelAdmin/", method), rpc);
    if (!caller.ok()) return ToGrpcStatus(caller.status());
    const absl::Time start = absl::Now();
    absl::Status status = CheckVersion(request.version());
    if (status.ok()) {
      const auto changed = (admin_->*change)(request.model(), static_cast<int>(request.version()));
      status = changed.status();
      if (changed.ok()) *response = ToProto(*changed);
    }
    const std::string code = absl::StatusCodeToString(status.code());
    const bool refused = absl::IsInvalidArgument(status) || absl::IsNotFound(status);
    LogRecord line(status.ok() ? LogLevel::kInfo
                   : refused   ? LogLevel::kWarning
                               : LogLevel::kError,
                   "admin");
    line.Add("method", method)
        .Add("model", Shortened(request.model(), kMaxModelBytes))
        .Add("version", request.version())
        .Add("code", code)
        .Add("seconds", absl::Now() - start)
        .Add("peer", rpc.peer());
    if (*caller != nullptr) line.Add("identity", (*caller)->name);
    if (calls_ != nullptr) calls_->Write(line);
    if (refused) {
      log_->WriteRefusal(code, line);
    } else {
      log_->Write(line);
    }
    return ToGrpcStatus(status);
  }

  ModelAdmin* const admin_;
  const AccessGate* const gate_;
  CallLog* const log_;
  AccessLog* const calls_;
};

}  // namespace

AdminServer::AdminServer(Options options, ModelAdmin* admin)
    : options_(std::move(options)),
      log_(options_.log),
      open_to_all_(options_.access == nullptr ? AccessControl::OpenToAll() : nullptr),
      gate_(options_.access == nullptr ? open_to_all_.get() : options_.access, &log_,
            options_.access_log),
      service_(std::make_unique<ModelAdminService>(admin, &gate_, &log_, options_.access_log)) {}

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(Options options,
                                                                ModelAdmin* admin) {
  std::unique_ptr<AdminServer> server(new AdminServer(std::move(options), admin));
  RETURN_IF_ERROR(server->Listen());
  return server;
}

absl::Status AdminServer::Listen() {
  grpc::ServerBuilder builder;
  SetReflection(options_.reflection, &builder);
  builder.RegisterService(service_.get());
  SetTransportLimits(kLimits, &builder);
  if (!options_.listen_address.empty()) {
    Listener::Options listening;
    listening.address = options_.listen_address;
    listening.limits = kLimits.connections;
    ASSIGN_OR_RETURN(port_, ServerPort::Bind(listening, gate_, &builder));
  }
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) return absl::UnavailableError("gRPC cannot start");
  if (port_ != nullptr) port_->Start();
  return absl::OkStatus();
}

AdminServer::~AdminServer() {
  if (server_ == nullptr) return;
  if (port_ != nullptr) port_->Close();
  // Reflection and health's Watch stay open for as long as their clients like.
  server_->Shutdown(std::chrono::system_clock::now() + kLastCalls);
  server_->Wait();
}

std::shared_ptr<grpc::Channel> AdminServer::InProcessChannel() {
  return server_->InProcessChannel(grpc::ChannelArguments());
}

}  // namespace diffusiond
