// diffusiond: serves the models of a repository over gRPC.
//
// Exit status: 0 after an orderly end (also when --drain_timeout cut requests off), 1 when the
// server cannot start, 2 for wrong flags, 128 + n for a signal n while it starts or a second one.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "grpc/support/log.h"
#include "model/process/flag_check.h"
#include "model/process/printable_text.h"
#include "model/process/standard_streams.h"
#include "server/diffusiond.h"
#include "server/grpc_log.h"
#include "server/rpc/version.h"
#include "server/server_config.h"
#include "server/shutdown_signal.h"

ABSL_FLAG(
    std::string, model_repository, diffusiond::ServerFlags().model_repository,
    "Directory that holds one directory a model, in the layout of Hugging Face diffusers, or with "
    "numbered versions in it (NAME/1, NAME/2, ...), of which the newest is served; the directory's "
    "name is the model's. What in it is no good model is refused singly; it may be empty or not be "
    "there yet, then health is NOT_SERVING until a model is. Required.");
ABSL_FLAG(std::string, default_model, diffusiond::ServerFlags().default_model,
          "Model that requests get which name none; UNAVAILABLE while it is not loaded. Without "
          "this flag "
          "they get the only model, and where there are several, an error.");
ABSL_FLAG(std::string, listen, diffusiond::ServerFlags().listen,
          "host:port of the gRPC API, without TLS; port 0 takes a free one.");
ABSL_FLAG(std::string, metrics_listen, diffusiond::ServerFlags().metrics_listen,
          "host:port of HTTP /metrics for Prometheus; empty: none.");
ABSL_FLAG(std::string, admin_listen, diffusiond::ServerFlags().admin_listen,
          "host:port where operators swap and roll back models (diffusionctl versions, swap, "
          "rollback), without TLS or authentication, so not where clients come; empty: none.");
ABSL_FLAG(
    std::string, devices, diffusiond::ServerFlags().devices,
    "What draws: cpu (one worker), cpu:<workers> that split the cores, or cuda:<index>, several "
    "with commas between; one worker each.");
ABSL_FLAG(int, cpu_cores, diffusiond::ServerFlags().cpu_cores,
          "Cores that CPU workers use together, 1 .. 1024; 0: all.");
ABSL_FLAG(int, micro_batch, diffusiond::ServerFlags().micro_batch,
          "Rows of one network call, 1 .. 1024; 0: chosen by a short profile when a model is "
          "loaded. Images depend on it in their last bits, so name it where several servers answer "
          "for one another; receipts do.");
ABSL_FLAG(absl::Duration, model_poll_interval, diffusiond::ServerFlags().model_poll_interval,
          "How often to look for new versions of models, and for new models, in the repository. "
          "10ms .. inf; 0: only at the start, and when `diffusionctl swap NAME` asks for it.");
ABSL_FLAG(
    bool, exit_on_model_error, diffusiond::ServerFlags().exit_on_model_error,
    "End with exit status 1 if at the start a directory of the repository cannot be served, or "
    "there is none; without it what is good is served, and the rest refused and looked at "
    "again.");
ABSL_FLAG(int, keep_versions, diffusiond::ServerFlags().keep_versions,
          "Versions of a model that stay loaded, the one that is served included: more than 1 make "
          "a rollback instant and let receipts of old versions be replayed, and take their memory. "
          "1 .. 100.");
ABSL_FLAG(int64_t, max_model_memory, diffusiond::ServerFlags().max_model_memory,
          "Bytes that a model's weights and one step of it may take, as far as its configuration "
          "tells; one that would take more is refused before it is loaded. 1048576 .. "
          "1125899906842624; 0: half of the machine's memory, or of the control group's limit.");
ABSL_FLAG(int, max_queued_images, diffusiond::ServerFlags().max_queued_images,
          "Images asked for and not finished; a request that would pass it is refused with "
          "RESOURCE_EXHAUSTED. 1 .. 1000000.");
ABSL_FLAG(int, max_resident_images, diffusiond::ServerFlags().max_resident_images,
          "Images of a model in progress at once, each holding device memory; the others wait. "
          "1 .. 1000000.");
ABSL_FLAG(int, max_images_per_request, diffusiond::ServerFlags().max_images_per_request,
          "Largest count of a request, 1 .. 10000, at most --max_queued_images.");
ABSL_FLAG(int, max_request_bytes, diffusiond::ServerFlags().max_request_bytes,
          "Largest request, which may carry init_image, mask and init_noise. 1024 .. 1073741824.");
ABSL_FLAG(
    bool, accept_compressed_requests, diffusiond::ServerFlags().accept_compressed_requests,
    "Take requests that are compressed (gzip, deflate). They are expanded whole before "
    "--max_request_bytes is looked at: 2 MB can take 2 GB, so only where every client is trusted.");
ABSL_FLAG(int, decoder_threads, diffusiond::ServerFlags().decoder_threads,
          "Threads that read init_image and mask, 1 .. 256.");
ABSL_FLAG(
    int, max_queued_pictures, diffusiond::ServerFlags().max_queued_pictures,
    "Requests with pictures that wait to be read, a quarter of them from one address; more are "
    "refused. 1 .. 100000.");
ABSL_FLAG(int64_t, max_waiting_bytes, diffusiond::ServerFlags().max_waiting_bytes,
          "Memory that requests hold together while they wait and run: start pictures, masks, "
          "noise, plans. One address may hold three quarters; more is refused. 16 MiB .. 1 TiB.");
ABSL_FLAG(int, encoder_threads, diffusiond::ServerFlags().encoder_threads,
          "Threads that write PNG, WebP and JPEG, 1 .. 256.");
ABSL_FLAG(int, max_queued_previews, diffusiond::ServerFlags().max_queued_previews,
          "Previews waiting for an encoder; more are dropped. 0 .. 100000.");
ABSL_FLAG(absl::Duration, worker_watchdog, diffusiond::ServerFlags().worker_watchdog,
          "A worker whose step takes longer hangs: it is taken out and built again, and its images "
          "go on elsewhere. 1s .. inf.");
ABSL_FLAG(absl::Duration, priority_ageing, diffusiond::ServerFlags().priority_ageing,
          "A request moves up a priority class each time that it has waited so long. 1ms .. inf.");
ABSL_FLAG(double, queue_share, diffusiond::ServerFlags().queue_share,
          "Part of --max_queued_images that one address may hold when nobody else holds any: with "
          "0.75, three times what it leaves free; and so a tenant of what its address may hold. "
          "0.01 .. 1; 1: all.");
ABSL_FLAG(double, high_priority_share, diffusiond::ServerFlags().high_priority_share,
          "Part of the steps that priority HIGH gets while other requests wait (all of them while "
          "none does), and of --max_queued_images as with --queue_share. 0.01 .. 1; 1: all.");
ABSL_FLAG(std::string, tenant_weights, diffusiond::ServerFlags().tenant_weights,
          "Shares of tenants of one address inside a priority class; an address weighs as much as "
          "its heaviest tenant. name=weight with commas between; 1 for those "
          "not named. 0.001 .. 1000.");
ABSL_FLAG(absl::Duration, drain_timeout, diffusiond::ServerFlags().drain_timeout,
          "How long requests that run at SIGTERM may take to finish, 0 .. 24h.");
ABSL_FLAG(absl::Duration, max_connection_age, diffusiond::ServerFlags().max_connection_age,
          "A connection this old is told to go, so that clients find new replicas; what runs on it "
          "goes on. 1s .. 24h, or inf.");
ABSL_FLAG(absl::Duration, max_connection_idle, diffusiond::ServerFlags().max_connection_idle,
          "So is one that has had no call for this long. 1s .. 24h, or inf.");
ABSL_FLAG(int, max_connections, diffusiond::ServerFlags().max_connections,
          "Open connections of the gRPC port; more are closed as they come. Fewer if the machine "
          "allows fewer descriptors (ulimit -n). 1 .. 1000000.");
ABSL_FLAG(int, max_connections_per_address, diffusiond::ServerFlags().max_connections_per_address,
          "Those of one address, 1 .. 1000000.");
ABSL_FLAG(int, max_calls_per_connection, diffusiond::ServerFlags().max_calls_per_connection,
          "Calls at once on one connection; more wait in the client. 1 .. 1000000.");
ABSL_FLAG(int64_t, max_transport_bytes, diffusiond::ServerFlags().max_transport_bytes,
          "Memory of all connections together: requests on their way in, answers on their way out. "
          "Near it clients are slowed down, and at last calls are ended. 16 MiB .. 1 TiB.");
ABSL_FLAG(absl::Duration, stall_timeout, diffusiond::ServerFlags().stall_timeout,
          "An answer of which its client takes nothing for this long is cancelled, 1s .. inf.");

ABSL_FLAG(
    int, refusals_logged_per_second, diffusiond::ServerFlags().refusals_logged_per_second,
    "Log lines a second that tell of refused calls, and as many of gRPC's; one line tells how "
    "many were left out. Calls that were admitted always have theirs. 0 .. 10000; 0: only the "
    "counts.");

namespace diffusiond {
namespace {

constexpr int kExitStartFailed = 1;
constexpr int kExitWrongFlags = 2;

// Lines may hold what stands in anybody's files and requests.
void Log(const std::string& line) { std::fprintf(stderr, "%s\n", Printable(line).c_str()); }

ServerFlags FlagsFromCommandLine() {
  ServerFlags flags;
  flags.model_repository = absl::GetFlag(FLAGS_model_repository);
  flags.default_model = absl::GetFlag(FLAGS_default_model);
  flags.listen = absl::GetFlag(FLAGS_listen);
  flags.metrics_listen = absl::GetFlag(FLAGS_metrics_listen);
  flags.admin_listen = absl::GetFlag(FLAGS_admin_listen);
  flags.devices = absl::GetFlag(FLAGS_devices);
  flags.cpu_cores = absl::GetFlag(FLAGS_cpu_cores);
  flags.worker_watchdog = absl::GetFlag(FLAGS_worker_watchdog);
  flags.priority_ageing = absl::GetFlag(FLAGS_priority_ageing);
  flags.queue_share = absl::GetFlag(FLAGS_queue_share);
  flags.high_priority_share = absl::GetFlag(FLAGS_high_priority_share);
  flags.tenant_weights = absl::GetFlag(FLAGS_tenant_weights);
  flags.micro_batch = absl::GetFlag(FLAGS_micro_batch);
  flags.model_poll_interval = absl::GetFlag(FLAGS_model_poll_interval);
  flags.exit_on_model_error = absl::GetFlag(FLAGS_exit_on_model_error);
  flags.keep_versions = absl::GetFlag(FLAGS_keep_versions);
  flags.max_model_memory = absl::GetFlag(FLAGS_max_model_memory);
  flags.max_queued_images = absl::GetFlag(FLAGS_max_queued_images);
  flags.max_resident_images = absl::GetFlag(FLAGS_max_resident_images);
  flags.max_images_per_request = absl::GetFlag(FLAGS_max_images_per_request);
  flags.max_request_bytes = absl::GetFlag(FLAGS_max_request_bytes);
  flags.accept_compressed_requests = absl::GetFlag(FLAGS_accept_compressed_requests);
  flags.decoder_threads = absl::GetFlag(FLAGS_decoder_threads);
  flags.max_queued_pictures = absl::GetFlag(FLAGS_max_queued_pictures);
  flags.max_waiting_bytes = absl::GetFlag(FLAGS_max_waiting_bytes);
  flags.encoder_threads = absl::GetFlag(FLAGS_encoder_threads);
  flags.max_queued_previews = absl::GetFlag(FLAGS_max_queued_previews);
  flags.drain_timeout = absl::GetFlag(FLAGS_drain_timeout);
  flags.max_connection_age = absl::GetFlag(FLAGS_max_connection_age);
  flags.max_connection_idle = absl::GetFlag(FLAGS_max_connection_idle);
  flags.max_connections = absl::GetFlag(FLAGS_max_connections);
  flags.max_connections_per_address = absl::GetFlag(FLAGS_max_connections_per_address);
  flags.max_calls_per_connection = absl::GetFlag(FLAGS_max_calls_per_connection);
  flags.max_transport_bytes = absl::GetFlag(FLAGS_max_transport_bytes);
  flags.stall_timeout = absl::GetFlag(FLAGS_stall_timeout);
  flags.refusals_logged_per_second = absl::GetFlag(FLAGS_refusals_logged_per_second);
  return flags;
}

int Run(const ServerFlags& flags, ShutdownSignal& shutdown) {
  ParsedFlags parsed;
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const std::vector<std::string> faults = CheckFlags(flags, cores, &parsed);
  for (const std::string& fault : faults) Log(absl::StrCat("diffusiond: ", fault));
  if (!faults.empty()) return kExitWrongFlags;

  Diffusiond diffusiond(
      {.flags = flags, .parsed = std::move(parsed), .make_policy = nullptr, .log_line = Log});
  // What keeps it from starting is told in one line, ours, which names the flag.
  gpr_set_log_function([](gpr_log_func_args*) {});
  if (absl::Status status = diffusiond.Start(); !status.ok()) {
    Log(absl::StrCat("diffusiond: ", status.message()));
    return kExitStartFailed;
  }
  const GrpcLog grpc_log(diffusiond.RefusalLogOptions());
  // Whoever waits for this line may send a signal at once.
  shutdown.Expect();
  std::printf("diffusiond listening grpc=%s metrics=%s admin=%s\n",
              diffusiond.grpc_address().c_str(), diffusiond.metrics_address().c_str(),
              diffusiond.admin_address().c_str());
  std::fflush(stdout);
  const int number = shutdown.Await();
  Log(absl::StrCat("draining signal=", number,
                   " timeout=", absl::FormatDuration(flags.drain_timeout)));
  Log(diffusiond.Drain() ? "drained" : "drain timeout passed, requests were cut off");
  // A thread that hangs in a device's library would be torn down under it.
  if (diffusiond.hung_threads() > 0) std::_Exit(0);
  return 0;
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  diffusiond::OpenStandardStreams();  // Before there is a pipe.
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
  const std::vector<char*> arguments = diffusiond::ParseCommandLineOrExit("diffusiond", argc, argv);
  if (arguments.size() > 1) {
    diffusiond::Log(absl::StrCat("diffusiond: unexpected argument \"", arguments[1],
                                 "\"; flags begin with --"));
    return diffusiond::kExitWrongFlags;
  }
  return diffusiond::Run(diffusiond::FlagsFromCommandLine(), shutdown);
}
