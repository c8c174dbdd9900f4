// The whole server: models, engine, workers, gRPC and metrics, put together.
#ifndef DIFFUSIOND_SERVER_DIFFUSIOND_H_
#define DIFFUSIOND_SERVER_DIFFUSIOND_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "prometheus/registry.h"
#include "server/access/access_control.h"
#include "server/connections/descriptor_limit.h"
#include "server/counted_rpc.h"
#include "server/engine/engine.h"
#include "server/http/http_front.h"
#include "server/idle_trim.h"
#include "server/logging/access_log.h"
#include "server/logging/log_record.h"
#include "server/metrics/access_instruments.h"
#include "server/metrics/metrics_server.h"
#include "server/metrics/server_metrics.h"
#include "server/metrics/telemetry_instruments.h"
#include "server/models/model_catalog.h"
#include "server/rpc/admin_server.h"
#include "server/rpc/call_log.h"
#include "server/rpc/server.h"
#include "server/server_config.h"
#include "server/tracing/span_exporter.h"
#include "server/versions/loaded_versions.h"
#include "server/versions/version_manager.h"
#include "server/worker/worker_supervisor.h"

namespace diffusiond {

// Thread-compatible.
class Diffusiond : private WorkerObserver {
 public:
  struct Options {
    ServerFlags flags;   // Found good by CheckFlags,
    ParsedFlags parsed;  // which gave this.
    // Which row is stepped next, for each model. Null: StepPolicy, by the flags.
    std::function<std::unique_ptr<SchedulingPolicy>()> make_policy = nullptr;
    LogSink log;
  };

  explicit Diffusiond(Options options);
  ~Diffusiond() override;

  // Loads the models that are good, perhaps none, serves, and follows the repository. Not OK: a
  // message for the operator; with --exit_on_model_error also that something in the repository
  // cannot be served.
  absl::Status Start();

  // host:port, with the port that was taken in place of 0.
  const std::string& grpc_address() const { return grpc_address_; }
  const std::string& metrics_address() const { return metrics_address_; }  // "none" without.
  const std::string& admin_address() const { return admin_address_; }      // The same.
  const std::string& http_address() const { return http_address_; }        // The same.

  // As Server::Drain, for at most --drain_timeout.
  bool Drain();

  // Ends everything, as the destructor does; nothing else may follow. Logs and spans are out then.
  // Returns the threads that hang in a device and could not be ended: with any of them, end the
  // process without running static destructors.
  int Stop();

  VersionManager& versions() { return *versions_; }

  // For a log of what strangers can cause: by the flags, and counted in the metrics of this object.
  CallLog::Options RefusalLogOptions();

 private:
  // In this order: each is given those before it, whole.
  absl::Status MakeTelemetry();
  absl::Status MakeAccess();
  absl::Status MakeEngine();
  void MakeRoom();
  absl::Status MakeServer();
  absl::Status StartWorkers();
  void MakeVersions();
  absl::Status LoadModels();
  absl::Status StartServing();
  absl::Status StartHttp();
  absl::Status StartAdmin();
  // By which instruction set the network runs on CPUs.
  void LogKernels();
  void LogThatNothingIsServed();

  void OnWorkerUp(const std::string& worker) override;
  void OnWorkerDown(const std::string& worker, const absl::Status& reason) override;
  void OnWorkersRunning(int running) override;

  const Options options_;
  const std::shared_ptr<prometheus::Registry> registry_;
  ServerMetrics metrics_;
  CountedRpc counted_rpc_;
  AccessInstruments access_metrics_;
  TelemetryInstruments telemetry_;
  std::unique_ptr<AccessLog> access_log_;        // Null without --access_log.
  std::unique_ptr<SpanExporter> span_exporter_;  // Null without --otlp_endpoint.
  std::unique_ptr<AccessControl> access_;
  Connections room_;  // Of --listen and --http_listen.
  ModelCatalog catalog_;
  LoadedVersions loaded_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<MetricsServer> metrics_server_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<HttpFront> http_front_;  // Null without --http_listen.
  std::unique_ptr<IdleTrim> idle_trim_;
  std::unique_ptr<WorkerSupervisor> supervisor_;
  std::unique_ptr<VersionManager> versions_;
  std::unique_ptr<AdminServer> admin_server_;
  std::map<std::string, bool> seen_up_;  // Workers that ran before; the supervisor's calls only.
  std::string grpc_address_;
  std::string metrics_address_ = "none";
  std::string admin_address_ = "none";
  std::string http_address_ = "none";
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_DIFFUSIOND_H_
