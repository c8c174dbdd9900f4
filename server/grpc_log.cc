#include "server/grpc_log.h"

#include <string>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "grpc/support/log.h"

namespace diffusiond {
namespace {

// gRPC's function for its log takes no object.
ABSL_CONST_INIT absl::Mutex g_mu(absl::kConstInit);
CallLog* g_log ABSL_GUARDED_BY(g_mu) = nullptr;

void WriteLine(gpr_log_func_args* entry) {
  const bool error = entry->severity == GPR_LOG_SEVERITY_ERROR;
  LogRecord record(error ? LogLevel::kWarning : LogLevel::kInfo, "grpc");
  record.Add("severity", gpr_log_severity_string(entry->severity))
      .Add("at", absl::StrCat(entry->file, ":", entry->line))
      .Add("message", entry->message);
  absl::ReaderMutexLock lock(&g_mu);
  if (g_log == nullptr) return;
  if (error) {
    g_log->WriteRefusal("gRPC", record);
  } else {
    g_log->Write(record);
  }
}

}  // namespace

GrpcLog::GrpcLog(CallLog::Options options) : log_(std::move(options)) {
  {
    absl::MutexLock lock(&g_mu);
    g_log = &log_;
  }
  gpr_set_log_function(WriteLine);
}

GrpcLog::~GrpcLog() {
  gpr_set_log_function(nullptr);
  absl::MutexLock lock(&g_mu);
  g_log = nullptr;
}

}  // namespace diffusiond
