// diffusiond: serves the models of a repository over gRPC.
//
// Exit status: 0 after an orderly end (also when --drain_timeout cut requests off), 1 when the
// server cannot start, 2 for wrong flags, 128 + n for a signal n while it starts or a second one.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "prometheus/registry.h"
#include "server/counted_rpc.h"
#include "server/device_list.h"
#include "server/engine/engine.h"
#include "server/imaging/encoder_pool.h"
#include "server/metrics/metrics_server.h"
#include "server/metrics/server_metrics.h"
#include "server/model_repository.h"
#include "server/rpc/model_catalog.h"
#include "server/rpc/server.h"
#include "server/rpc/version.h"
#include "server/server_config.h"
#include "server/shutdown_signal.h"
#include "server/worker/device_worker.h"
#include "server/worker/model_loader.h"

ABSL_FLAG(
    std::string, model_repository, diffusiond::ServerFlags().model_repository,
    "Directory that holds one directory a model, in the layout of Hugging Face diffusers; the "
    "directory's name is the model's. Required.");
ABSL_FLAG(std::string, listen, diffusiond::ServerFlags().listen,
          "host:port of the gRPC API, without TLS; port 0 takes a free one.");
ABSL_FLAG(std::string, metrics_listen, diffusiond::ServerFlags().metrics_listen,
          "host:port of HTTP /metrics for Prometheus; empty: none.");
ABSL_FLAG(
    std::string, devices, diffusiond::ServerFlags().devices,
    "What draws: cpu (every core), cpu:<cores>, cuda:<index>, or several with commas between; "
    "one worker each.");
ABSL_FLAG(int, micro_batch, diffusiond::ServerFlags().micro_batch,
          "Rows of one network call, 1 .. 1024; 0: the default of the devices' kind. Images depend "
          "on it in their last bits; receipts name it.");
ABSL_FLAG(int, max_queued_images, diffusiond::ServerFlags().max_queued_images,
          "Images asked for and not finished; a request that would pass it is refused with "
          "RESOURCE_EXHAUSTED. 1 .. 1000000.");
ABSL_FLAG(int, max_resident_images, diffusiond::ServerFlags().max_resident_images,
          "Images of a model in progress at once, each holding device memory; the others wait. "
          "1 .. 1000000.");
ABSL_FLAG(int, max_images_per_request, diffusiond::ServerFlags().max_images_per_request,
          "Largest count of a request, 1 .. 10000, at most --max_queued_images.");
ABSL_FLAG(int, encoder_threads, diffusiond::ServerFlags().encoder_threads,
          "Threads that write PNG, WebP and JPEG, 1 .. 256.");
ABSL_FLAG(int, max_queued_previews, diffusiond::ServerFlags().max_queued_previews,
          "Previews waiting for an encoder; more are dropped. 0 .. 100000.");
ABSL_FLAG(absl::Duration, drain_timeout, diffusiond::ServerFlags().drain_timeout,
          "How long requests that run at SIGTERM may take to finish, 0 .. 24h.");
ABSL_FLAG(absl::Duration, stream_stall_timeout, diffusiond::ServerFlags().stream_stall_timeout,
          "A stream whose client takes nothing for this long is cancelled, 1s .. inf.");

namespace diffusiond {
namespace {

constexpr int kExitStartFailed = 1;
constexpr int kExitWrongFlags = 2;

void Log(const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }

ServerFlags FlagsFromCommandLine() {
  ServerFlags flags;
  flags.model_repository = absl::GetFlag(FLAGS_model_repository);
  flags.listen = absl::GetFlag(FLAGS_listen);
  flags.metrics_listen = absl::GetFlag(FLAGS_metrics_listen);
  flags.devices = absl::GetFlag(FLAGS_devices);
  flags.micro_batch = absl::GetFlag(FLAGS_micro_batch);
  flags.max_queued_images = absl::GetFlag(FLAGS_max_queued_images);
  flags.max_resident_images = absl::GetFlag(FLAGS_max_resident_images);
  flags.max_images_per_request = absl::GetFlag(FLAGS_max_images_per_request);
  flags.encoder_threads = absl::GetFlag(FLAGS_encoder_threads);
  flags.max_queued_previews = absl::GetFlag(FLAGS_max_queued_previews);
  flags.drain_timeout = absl::GetFlag(FLAGS_drain_timeout);
  flags.stream_stall_timeout = absl::GetFlag(FLAGS_stream_stall_timeout);
  return flags;
}

// The parts of the server, in the order in which they need each other.
class Diffusiond {
 public:
  Diffusiond(const ServerFlags& flags, std::vector<DeviceSpec> devices)
      : flags_(flags),
        devices_(std::move(devices)),
        registry_(std::make_shared<prometheus::Registry>()),
        metrics_(registry_.get(), kServerVersion),
        counted_rpc_(&metrics_) {}

  ~Diffusiond() {
    server_.reset();
    if (engine_ != nullptr) engine_->Shutdown();
    workers_.clear();
    encoders_.reset();
  }

  absl::Status Start() {
    if (absl::Status status = LoadModels(); !status.ok()) return status;
    if (absl::Status status = StartWorkers(); !status.ok()) return status;
    return StartServing();
  }

  bool Drain() { return server_->Drain(absl::Now() + flags_.drain_timeout); }

 private:
  absl::Status LoadModels() {
    absl::StatusOr<std::vector<ModelDirectory>> directories =
        ListModelRepository(flags_.model_repository);
    if (!directories.ok()) return directories.status();
    executors_.resize(devices_.size());
    for (const ModelDirectory& directory : *directories) {
      if (absl::Status status = AddModel(directory); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status AddModel(const ModelDirectory& directory) {
    const absl::Time start = absl::Now();
    absl::StatusOr<LoadedModel> loaded = LoadModel(directory.path, devices_, flags_.micro_batch);
    if (!loaded.ok()) return loaded.status();
    absl::StatusOr<ServedModel> served =
        MakeServedModel(directory.name, loaded->config, loaded->digest, loaded->num_parameters,
                        {loaded->libtorch_version, loaded->device_kind, loaded->micro_batch});
    if (!served.ok()) return served.status();
    catalog_.Put(*std::move(served));
    for (size_t i = 0; i < devices_.size(); ++i) {
      executors_[i][directory.name] = std::move(loaded->executors[i]);
      metrics_.ModelLoaded(directory.name, loaded->digest, DeviceName(devices_[i]),
                           loaded->micro_batch);
    }
    Log(absl::StrCat("loaded model=", directory.name, " digest=", loaded->digest,
                     " parameters=", loaded->num_parameters, " device=\"", loaded->device_kind,
                     "\" micro_batch=", loaded->micro_batch,
                     " seconds=", absl::ToDoubleSeconds(absl::Now() - start)));
    return absl::OkStatus();
  }

  absl::Status StartWorkers() {
    Engine::Options options;
    options.max_trajectories = flags_.max_queued_images;
    options.max_resident_trajectories = flags_.max_resident_images;
    options.metrics = &metrics_;
    absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Create(options);
    if (!engine.ok()) return engine.status();
    engine_ = *std::move(engine);
    for (size_t i = 0; i < devices_.size(); ++i) {
      absl::StatusOr<std::unique_ptr<DeviceWorker>> worker =
          DeviceWorker::Start(DeviceName(devices_[i]), engine_.get(), std::move(executors_[i]));
      if (!worker.ok()) return worker.status();
      workers_.push_back(*std::move(worker));
    }
    return absl::OkStatus();
  }

  absl::Status StartServing() {
    EncoderPool::Options encoder_options;
    encoder_options.threads = flags_.encoder_threads;
    encoder_options.max_queued_previews = flags_.max_queued_previews;
    absl::StatusOr<std::unique_ptr<EncoderPool>> encoders = EncoderPool::Create(encoder_options);
    if (!encoders.ok()) return encoders.status();
    encoders_ = *std::move(encoders);

    std::string metrics_address = "none";
    if (!flags_.metrics_listen.empty()) {
      absl::StatusOr<std::unique_ptr<MetricsServer>> metrics_server =
          MetricsServer::Start(flags_.metrics_listen, registry_);
      if (!metrics_server.ok()) return metrics_server.status();
      metrics_server_ = *std::move(metrics_server);
      metrics_address = WithPort(flags_.metrics_listen, metrics_server_->port());
    }

    Server::Options options;
    options.listen_address = flags_.listen;
    options.limits.max_count = flags_.max_images_per_request;
    options.stream_stall_timeout = flags_.stream_stall_timeout;
    options.log_line = Log;
    absl::StatusOr<std::unique_ptr<Server>> server =
        Server::Start(options, engine_.get(), &catalog_, encoders_.get(), &counted_rpc_);
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    server_->SetWorkersRunning(true);
    std::printf("diffusiond listening grpc=%s metrics=%s\n",
                WithPort(flags_.listen, server_->port()).c_str(), metrics_address.c_str());
    std::fflush(stdout);
    return absl::OkStatus();
  }

  // The address with the port that was taken in place of 0.
  static std::string WithPort(const std::string& address, int port) {
    return absl::StrCat(address.substr(0, address.rfind(':') + 1), port);
  }

  const ServerFlags flags_;
  const std::vector<DeviceSpec> devices_;
  const std::shared_ptr<prometheus::Registry> registry_;
  ServerMetrics metrics_;
  CountedRpc counted_rpc_;
  ModelCatalog catalog_;
  std::vector<StepExecutors> executors_;  // By device, until its worker takes them.
  std::unique_ptr<Engine> engine_;
  std::vector<std::unique_ptr<DeviceWorker>> workers_;
  std::unique_ptr<EncoderPool> encoders_;
  std::unique_ptr<MetricsServer> metrics_server_;
  std::unique_ptr<Server> server_;
};

int Run(const ServerFlags& flags, ShutdownSignal& shutdown) {
  std::vector<DeviceSpec> devices;
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const std::vector<std::string> faults = CheckFlags(flags, cores, &devices);
  for (const std::string& fault : faults) Log(absl::StrCat("diffusiond: ", fault));
  if (!faults.empty()) return kExitWrongFlags;

  Diffusiond diffusiond(flags, std::move(devices));
  if (absl::Status status = diffusiond.Start(); !status.ok()) {
    Log(absl::StrCat("diffusiond: ", status.message()));
    return kExitStartFailed;
  }
  shutdown.Expect();
  const int number = shutdown.Await();
  Log(absl::StrCat("draining signal=", number,
                   " timeout=", absl::FormatDuration(flags.drain_timeout)));
  Log(diffusiond.Drain() ? "drained" : "drain timeout passed, requests were cut off");
  return 0;
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  diffusiond::ShutdownSignal shutdown;
  std::signal(SIGPIPE, SIG_IGN);  // A log reader that went away is no reason to end.
  absl::FlagsUsageConfig usage;
  usage.version_string = [] {
    return absl::StrCat("diffusiond ", diffusiond::kServerVersion, "\n");
  };
  // --help shows the flags of this file, not those of libraries.
  usage.contains_help_flags = [](absl::string_view file) {
    return absl::StrContains(file, "diffusiond_main");
  };
  absl::SetFlagsUsageConfig(usage);
  absl::SetProgramUsageMessage(
      "serves diffusion models over gRPC.\n  diffusiond --model_repository=DIR [flags]");
  const std::vector<char*> arguments = absl::ParseCommandLine(argc, argv);
  if (arguments.size() > 1) {
    diffusiond::Log(absl::StrCat("diffusiond: unexpected argument \"", arguments[1],
                                 "\"; flags begin with --"));
    return diffusiond::kExitWrongFlags;
  }
  return diffusiond::Run(diffusiond::FlagsFromCommandLine(), shutdown);
}
