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
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpc/support/log.h"
#include "model/process/flag_check.h"
#include "model/process/printable_text.h"
#include "model/process/standard_streams.h"
#include "server/diffusiond.h"
#include "server/grpc_log.h"
#include "server/logging/log_record.h"
#include "server/server_config.h"
#include "server/server_flags.h"
#include "server/shutdown_signal.h"

#define DIFFUSIOND_DEFINE(type, name, value, help) ABSL_FLAG(type, name, value, help);
DIFFUSIOND_SERVER_FLAGS(DIFFUSIOND_DEFINE)
#undef DIFFUSIOND_DEFINE

namespace diffusiond {
namespace {

constexpr int kExitStartFailed = 1;
constexpr int kExitWrongFlags = 2;

// Lines to standard error, as --log_format and --log_level say.
LogSink LogOf(const ParsedFlags& flags) {
  return [format = flags.log_format, least = flags.log_level](const LogRecord& record) {
    if (record.level() < least) return;
    std::fprintf(stderr, "%s\n", FormatLogRecord(format, absl::Now(), record).c_str());
  };
}

// To the person at the command line.
void Tell(const std::string& line) { std::fprintf(stderr, "%s\n", Printable(line).c_str()); }

ServerFlags FlagsFromCommandLine() {
  ServerFlags flags;
#define DIFFUSIOND_TAKE(type, name, value, help) flags.name = absl::GetFlag(FLAGS_##name);
  DIFFUSIOND_SERVER_FLAGS(DIFFUSIOND_TAKE)
#undef DIFFUSIOND_TAKE
  return flags;
}

int Run(const ServerFlags& flags, ShutdownSignal& shutdown) {
  ParsedFlags parsed;
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const std::vector<std::string> faults = CheckFlags(flags, cores, &parsed);
  for (const std::string& fault : faults) Tell(absl::StrCat("diffusiond: ", fault));
  if (!faults.empty()) return kExitWrongFlags;

  const LogFormat format = parsed.log_format;
  const LogSink log = LogOf(parsed);
  Diffusiond diffusiond(
      {.flags = flags, .parsed = std::move(parsed), .make_policy = nullptr, .log = log});
  // What keeps it from starting is told in one line, ours, which names the flag.
  gpr_set_log_function([](gpr_log_func_args*) {});
  if (absl::Status status = diffusiond.Start(); !status.ok()) {
    log(LogRecord(LogLevel::kError, absl::StrCat("diffusiond: ", status.message())));
    return kExitStartFailed;
  }
  const GrpcLog grpc_log(diffusiond.RefusalLogOptions());
  // Whoever waits for this line may send a signal at once.
  shutdown.Expect();
  LogRecord listening(LogLevel::kInfo, "diffusiond listening");
  listening.Add("grpc", diffusiond.grpc_address())
      .Add("metrics", diffusiond.metrics_address())
      .Add("admin", diffusiond.admin_address())
      .Add("http", diffusiond.http_address());
  std::printf("%s\n", FormatLogRecord(format, absl::Now(), listening).c_str());
  std::fflush(stdout);
  const int number = shutdown.Await();
  log(LogRecord(LogLevel::kInfo, "draining")
          .Add("signal", number)
          .Add("timeout", absl::FormatDuration(flags.drain_timeout)));
  const bool drained = diffusiond.Drain();
  log(drained ? LogRecord(LogLevel::kInfo, "drained")
              : LogRecord(LogLevel::kWarning, "drain timeout passed, requests were cut off"));
  // A thread that hangs in a device's library would be torn down under it.
  if (diffusiond.Stop() > 0) std::_Exit(0);
  return 0;
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  diffusiond::OpenStandardStreams();  // Before there is a pipe.
  diffusiond::ShutdownSignal shutdown;
  // Debian's Abseil looks for deadlocks at every second lock that a thread takes, which makes it
  // four times as dear. Tests leave that on.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  std::signal(SIGPIPE, SIG_IGN);  // A log reader that went away is no reason to end.
  absl::SetProgramUsageMessage(
      "serves diffusion models over gRPC.\n  diffusiond --model_repository=DIR [flags]");
  const std::vector<char*> arguments = diffusiond::ParseCommandLineOrExit("diffusiond", argc, argv);
  if (const absl::Status words = diffusiond::CheckNoMoreWords(arguments, 1); !words.ok()) {
    diffusiond::Tell(absl::StrCat("diffusiond: ", words.message()));
    return diffusiond::kExitWrongFlags;
  }
  return diffusiond::Run(diffusiond::FlagsFromCommandLine(), shutdown);
}
