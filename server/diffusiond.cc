#include "server/diffusiond.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "model/cpu_network/kernels.h"
#include "model/status/status_macros.h"
#include "server/engine/step_policy.h"
#include "server/http/http_tls.h"
#include "server/metrics/counted_http.h"
#include "server/rpc/version.h"
#include "server/tracing/http_post.h"
#include "server/worker/model_loader.h"

namespace diffusiond {
namespace {

// The address with the port that was taken in place of 0.
std::string WithPort(const std::string& address, int port) {
  return absl::StrCat(address.substr(0, address.rfind(':') + 1), port);
}

TransportLimits TransportLimitsOf(const ServerFlags& flags, int connections) {
  TransportLimits limits;
  limits.connections = ConnectionLimitsOf(flags);
  limits.connections.total = connections;
  limits.connection_rate = {.total = flags.max_connections_per_second,
                            .per_address = flags.max_connections_per_second_per_address};
  limits.calls_per_connection = flags.max_calls_per_connection;
  limits.bytes = static_cast<size_t>(flags.max_transport_bytes);
  limits.request_bytes = flags.max_request_bytes;
  limits.accept_compressed_requests = flags.accept_compressed_requests;
  limits.connection_age = flags.max_connection_age;
  limits.connection_idle = flags.max_connection_idle;
  return limits;
}

absl::Status OfFlag(const char* flag, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("--", flag, ": ", status.message()));
}

// For answers over HTTP that are written but not yet sent when the server goes.
constexpr absl::Duration kHttpFlushGrace = absl::Seconds(1);

// In which a collector has to answer.
constexpr absl::Duration kCollectorTimeout = absl::Seconds(10);

// In Kubernetes a host's name is the pod's.
std::string InstanceId() {
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, ":", getpid());
}

}  // namespace

Diffusiond::Diffusiond(Options options)
    : options_(std::move(options)),
      registry_(std::make_shared<prometheus::Registry>()),
      metrics_(registry_.get(), kServerVersion),
      counted_rpc_(&metrics_),
      access_metrics_(registry_.get()),
      telemetry_(registry_.get()),
      catalog_(options_.flags.default_model) {}

Diffusiond::~Diffusiond() { (void)Stop(); }

int Diffusiond::Stop() {
  if (versions_ != nullptr) versions_->Stop();
  admin_server_.reset();
  // The supervisor tells the server of workers, which call the engine.
  if (engine_ != nullptr) engine_->Shutdown();
  const int hung = supervisor_ == nullptr ? 0 : supervisor_->Stop();
  supervisor_.reset();
  idle_trim_.reset();
  http_front_.reset();
  server_.reset();
  access_log_.reset();
  span_exporter_.reset();
  return hung;
}

absl::Status Diffusiond::Start() {
  if (const absl::Status devices = CheckDevices(options_.parsed.devices); !devices.ok()) {
    return OfFlag("devices", devices);
  }
  RETURN_IF_ERROR(MakeTelemetry());
  RETURN_IF_ERROR(MakeAccess());
  RETURN_IF_ERROR(MakeEngine());
  RETURN_IF_ERROR(MakeServer());
  RETURN_IF_ERROR(StartWorkers());
  MakeVersions();
  RETURN_IF_ERROR(LoadModels());
  RETURN_IF_ERROR(StartServing());
  RETURN_IF_ERROR(StartHttp());
  versions_->Start();
  return StartAdmin();
}

absl::Status Diffusiond::LoadModels() {
  if (options_.parsed.devices[0].kind == DeviceKind::kCpu) LogKernels();
  const absl::Status models = versions_->LoadAll();  // Has logged what is wrong.
  if (!models.ok() && options_.flags.exit_on_model_error) {
    return absl::Status(models.code(),
                        absl::StrCat(models.message(), " (--exit_on_model_error is set)"));
  }
  if (catalog_.empty()) LogThatNothingIsServed();
  const std::string& chosen = options_.flags.default_model;
  if (!chosen.empty() && catalog_.default_model() != chosen) {
    options_.log(LogRecord(LogLevel::kWarning, "models")
                     .Add("default_model", chosen)
                     .Add("state",
                          "missing: requests that name no model get UNAVAILABLE until it "
                          "is loaded"));
  }
  return absl::OkStatus();
}

void Diffusiond::LogKernels() {
  const std::string kernels = KernelTargets().front();
  const bool emulated = kernels == "baseline";
  LogRecord record(emulated ? LogLevel::kWarning : LogLevel::kInfo, "network");
  record.Add("kernels", kernels);
  if (emulated) {
    record.Add("warning",
               "this processor has no fused multiply-add; emulated, the same images "
               "take many times as long");
  }
  options_.log(record);
}

void Diffusiond::LogThatNothingIsServed() {
  const absl::Duration interval = options_.flags.model_poll_interval;
  options_.log(
      LogRecord(LogLevel::kWarning, "models")
          .Add("models", 0)
          .Add("state", "not_serving")
          .Add("why",
               absl::StrCat("nothing in ", options_.flags.model_repository, " can be served yet"))
          .Add("then",
               interval > absl::ZeroDuration()
                   ? absl::StrCat("looking again every ", absl::FormatDuration(interval))
                   : "not looking again before `diffusionctl swap NAME` (--model_poll_interval "
                     "is 0)"));
}

bool Diffusiond::Drain() {
  // Calls over HTTP are among those that it waits for, or refuses.
  const bool drained = server_->Drain(absl::Now() + options_.flags.drain_timeout);
  if (http_front_ != nullptr) http_front_->Drain(kHttpFlushGrace);
  return drained;
}

absl::Status Diffusiond::MakeTelemetry() {
  const ServerFlags& flags = options_.flags;
  if (!flags.access_log.empty()) {
    AccessLog::Options options;
    options.path = flags.access_log;
    options.max_queued = flags.max_queued_log_lines;
    options.on_lost = [this](const std::string& why, int lines) {
      telemetry_.LinesLost(why, lines);
    };
    options.log = options_.log;
    absl::StatusOr<std::unique_ptr<AccessLog>> log = AccessLog::Open(std::move(options));
    if (!log.ok()) return OfFlag("access_log", log.status());
    access_log_ = *std::move(log);
  }
  if (!flags.otlp_endpoint.empty()) {
    SpanExporter::Options options;
    options.post = [url = flags.otlp_endpoint](const std::string& body,
                                               const std::function<bool()>& give_up) {
      return PostJson(url, body, kCollectorTimeout, give_up);
    };
    options.resource = {.service_version = kServerVersion, .instance_id = InstanceId()};
    options.max_queued = static_cast<size_t>(flags.max_queued_spans);
    options.on_spans = [this](const std::string& outcome, size_t spans) {
      telemetry_.Spans(outcome, spans);
    };
    options.log = options_.log;
    span_exporter_ = std::make_unique<SpanExporter>(std::move(options));
  }
  return absl::OkStatus();
}

absl::Status Diffusiond::MakeAccess() {
  AccessControl::Options options = options_.parsed.access;
  options.log = options_.log;
  options.metrics = &access_metrics_;
  ASSIGN_OR_RETURN(access_, AccessControl::Load(std::move(options)));
  if (access_->has_list()) return absl::OkStatus();
  const bool required = access_->client_certificates() == ClientCertificates::kRequire;
  options_.log(LogRecord(LogLevel::kInfo, "access")
                   .Add("may_draw", required ? "certificates" : "everybody")
                   .Add("which_is",
                        required ? std::string("who has one by --tls_client_ca, as the tenant of "
                                               "its name (no --access_file)")
                                 : absl::StrCat("whoever reaches ", options_.flags.listen,
                                                ", in the name of any tenant (no "
                                                "--access_file)")));
  return absl::OkStatus();
}

absl::Status Diffusiond::MakeEngine() {
  const ServerFlags& flags = options_.flags;
  Engine::Options engine_options;
  engine_options.max_trajectories = flags.max_queued_images;
  engine_options.queue_share = flags.queue_share;
  engine_options.high_priority_share = flags.high_priority_share;
  engine_options.max_resident_trajectories = flags.max_resident_images;
  engine_options.frame_threads = flags.encoder_threads;
  engine_options.max_waiting_previews = flags.max_queued_previews;
  engine_options.metrics = &metrics_;
  engine_options.make_policy = options_.make_policy;
  if (!engine_options.make_policy) {
    StepPolicy::Options policy;
    policy.ageing = flags.priority_ageing;
    policy.high_share = flags.high_priority_share;
    policy.tenant_weights = options_.parsed.tenant_weights;
    policy.weight_of = [access = access_.get()](const std::string& tenant) {
      return access->WeightOf(tenant);
    };
    engine_options.make_policy = [policy] { return std::make_unique<StepPolicy>(policy); };
  }
  ASSIGN_OR_RETURN(engine_, Engine::Create(engine_options));
  return absl::OkStatus();
}

void Diffusiond::MakeRoom() {
  const ServerFlags& flags = options_.flags;
  const Connections wanted = {.grpc = flags.max_connections,
                              .http = flags.http_listen.empty() ? 0 : flags.max_http_connections};
  room_ = MakeRoomForConnections(wanted);
  if (room_.grpc == wanted.grpc && room_.http == wanted.http) return;
  options_.log(LogRecord(LogLevel::kWarning, "connections")
                   .Add("max_connections", wanted.grpc)
                   .Add("descriptors_allow", room_.grpc)
                   .Add("max_http_connections", wanted.http)
                   .Add("descriptors_allow_http", room_.http)
                   .Add("warning", "more need more descriptors (ulimit -n)"));
}

absl::Status Diffusiond::MakeServer() {
  const ServerFlags& flags = options_.flags;
  Server::Options options;
  options.listen_address = flags.listen;
  options.limits.max_count = flags.max_images_per_request;
  options.limits.max_picture_side = flags.max_picture_side;
  options.progress_interval = flags.progress_interval;
  MakeRoom();
  options.transport = TransportLimitsOf(flags, room_.grpc);
  options.stall_timeout = flags.stall_timeout;
  options.lame_duck = flags.lame_duck;
  options.decoders.threads = flags.decoder_threads;
  options.decoders.max_queued = flags.max_queued_pictures;
  options.decoders.max_queued_per_address = (flags.max_queued_pictures + 3) / 4;
  options.max_waiting_bytes = static_cast<size_t>(flags.max_waiting_bytes);
  options.log = options_.log;
  options.refusals_logged_per_second = flags.refusals_logged_per_second;
  options.access_log = access_log_.get();
  options.tracing.ratio = flags.trace_ratio;
  options.tracing.every_steps = flags.trace_every_steps;
  if (span_exporter_ != nullptr) {
    options.tracing.sink = [exporter = span_exporter_.get()](std::vector<Span> spans) {
      exporter->Export(std::move(spans));
    };
  }
  options.access = access_.get();
  options.reflection = flags.reflection;
  ASSIGN_OR_RETURN(server_, Server::Create(options, engine_.get(), &catalog_, &counted_rpc_));
  return absl::OkStatus();
}

absl::Status Diffusiond::StartWorkers() {
  WorkerSupervisor::Options options;
  options.watchdog = options_.flags.worker_watchdog;
  options.observer = this;
  ASSIGN_OR_RETURN(supervisor_, WorkerSupervisor::Start(engine_.get(), options_.parsed.devices,
                                                        &loaded_, std::move(options)));
  return absl::OkStatus();
}

void Diffusiond::MakeVersions() {
  VersionManager::Options options;
  options.repository = options_.flags.model_repository;
  options.loader.devices = options_.parsed.devices;
  options.loader.load = [most = options_.flags.max_model_memory](
                            const std::filesystem::path& directory,
                            absl::Span<const DeviceSpec> devices, int micro_batch) {
    return LoadModel(directory, devices, micro_batch, most);
  };
  options.micro_batch = options_.flags.micro_batch;
  options.poll_interval = options_.flags.model_poll_interval;
  options.keep_versions = options_.flags.keep_versions;
  options.on_catalog_changed = [server = server_.get()] { server->OnCatalogChanged(); };
  options.log = options_.log;
  versions_ = std::make_unique<VersionManager>(
      std::move(options), VersionManager::Parts{.loaded = &loaded_,
                                                .supervisor = supervisor_.get(),
                                                .engine = engine_.get(),
                                                .catalog = &catalog_,
                                                .metrics = &metrics_});
}

absl::Status Diffusiond::StartServing() {
  const ServerFlags& flags = options_.flags;
  if (!flags.metrics_listen.empty()) {
    absl::StatusOr<std::unique_ptr<MetricsServer>> metrics_server =
        MetricsServer::Start(flags.metrics_listen, registry_,
                             flags.metrics_tls ? HttpTlsOf(*access_) : TlsIdentitySource());
    if (!metrics_server.ok()) return OfFlag("metrics_listen", metrics_server.status());
    metrics_server_ = *std::move(metrics_server);
    metrics_address_ = WithPort(flags.metrics_listen, metrics_server_->port());
  }
  if (absl::Status status = server_->Listen(); !status.ok()) return OfFlag("listen", status);
  idle_trim_ = std::make_unique<IdleTrim>(
      IdleTrim::Options{.calls =
                            [server = server_.get()] {
                              return IdleTrim::Options::Calls{.seen = server->seen_calls(),
                                                              .running = server->running_calls()};
                            },
                        .trim = nullptr});
  grpc_address_ = WithPort(flags.listen, server_->port());
  return absl::OkStatus();
}

absl::Status Diffusiond::StartHttp() {
  const ServerFlags& flags = options_.flags;
  if (flags.http_listen.empty()) return absl::OkStatus();
  HttpFront::Options options;
  options.listen = flags.http_listen;
  options.limits = HttpLimitsOf(flags);
  options.limits.max_connections = room_.http;
  options.max_request_bytes = flags.max_request_bytes;
  options.tls = HttpTlsOf(*access_);
  options.ready = [server = server_.get()] { return server->IsServing(); };
  options.work = [metrics = &metrics_] { return metrics->Work(); };
  options.observer = std::make_shared<CountedHttp>(&metrics_);
  options.connection_rate = TransportLimitsOf(flags, room_.http).connection_rate;
  absl::StatusOr<std::unique_ptr<HttpFront>> front =
      HttpFront::Start(std::move(options), server_->context());
  if (!front.ok()) return OfFlag("http_listen", front.status());
  http_front_ = *std::move(front);
  http_address_ = WithPort(flags.http_listen, http_front_->port());
  server_->SetOtherFront(
      {.leave = [front = http_front_.get()] { front->Leave(); },
       .close_idle = [front = http_front_.get()] { front->CloseIdle(); },
       .count_open = [front = http_front_.get()] { return front->CountOpen(); }});
  return absl::OkStatus();
}

absl::Status Diffusiond::StartAdmin() {
  const std::string& address = options_.flags.admin_listen;
  if (address.empty()) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<AdminServer>> server =
      AdminServer::Start({.listen_address = address,
                          .log = RefusalLogOptions(),
                          .access_log = access_log_.get(),
                          .access = access_.get(),
                          .reflection = options_.flags.reflection},
                         versions_.get());
  if (!server.ok()) return OfFlag("admin_listen", server.status());
  admin_server_ = *std::move(server);
  admin_address_ = WithPort(address, admin_server_->port());
  return absl::OkStatus();
}

CallLog::Options Diffusiond::RefusalLogOptions() {
  return {.refusals_per_second = options_.flags.refusals_logged_per_second,
          .log = options_.log,
          .on_left_out = [this](const std::string& code) { metrics_.LogLineLeftOut(code); }};
}

void Diffusiond::OnWorkerUp(const std::string& worker) {
  metrics_.WorkerUp(worker, true);
  if (seen_up_[worker]) {
    metrics_.WorkerRestarted(worker);
    options_.log(
        LogRecord(LogLevel::kInfo, "worker").Add("worker", worker).Add("state", "up again"));
  }
  seen_up_[worker] = true;
}

void Diffusiond::OnWorkerDown(const std::string& worker, const absl::Status& reason) {
  metrics_.WorkerUp(worker, false);
  options_.log(LogRecord(LogLevel::kError, "worker")
                   .Add("worker", worker)
                   .Add("state", "down")
                   .Add("error", reason.message()));
}

void Diffusiond::OnWorkersRunning(int running) { server_->SetWorkersRunning(running > 0); }

}  // namespace diffusiond
