#include "server/grpc_log.h"

#include <string>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "grpc/support/log.h"

namespace diffusiond {
namespace {

// gRPC's function for its log takes no object.
ABSL_CONST_INIT absl::Mutex g_mu(absl::kConstInit);
CallLog* g_log ABSL_GUARDED_BY(g_mu) = nullptr;

void WriteLine(gpr_log_func_args* entry) {
  const std::string line =
      absl::StrCat("grpc severity=", gpr_log_severity_string(entry->severity), " at=", entry->file,
                   ":", entry->line, " message=\"", absl::Utf8SafeCHexEscape(entry->message), "\"");
  absl::ReaderMutexLock lock(&g_mu);
  if (g_log == nullptr) return;
  if (entry->severity == GPR_LOG_SEVERITY_ERROR) {
    g_log->WriteRefusal("gRPC", line);
  } else {
    g_log->Write(LogLevel::kInfo, line);
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
