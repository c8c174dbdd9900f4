// What some files say together, read again when they change.
#ifndef DIFFUSIOND_SERVER_ACCESS_RELOADED_FILES_H_
#define DIFFUSIOND_SERVER_ACCESS_RELOADED_FILES_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "model/status/status_macros.h"
#include "server/access/access_metrics.h"
#include "server/access/small_file.h"
#include "server/logging/log_record.h"

namespace diffusiond {

// Files that cannot be read or parsed are refused as a whole, and what was read before stays: also
// while several are written one after the other, as a certificate and its key are. Thread-safe.
template <typename T>
class ReloadedFiles {
 public:
  struct Options {
    std::string name;  // "tls": for the log and the metrics.
    std::vector<std::string> paths;
    // What the files of `paths`, in their order, say. Asked again for the same texts while they are
    // refused: a certificate may become valid.
    std::function<absl::StatusOr<T>(const std::vector<std::string>& texts)> parse;
    std::function<void(const T&)> on_taken = nullptr;  // Within Load or Poll; may be unset.
    LogSink log = nullptr;                             // May be unset.
    AccessMetrics* metrics;                            // Not owned, not null.
  };

  // Not OK: there is nothing good to begin with.
  static absl::StatusOr<std::unique_ptr<ReloadedFiles>> Load(Options options) {
    std::unique_ptr<ReloadedFiles> files(new ReloadedFiles(std::move(options)));
    absl::MutexLock lock(&files->poll_mu_);
    ASSIGN_OR_RETURN(std::vector<std::string> texts, files->Read());
    ASSIGN_OR_RETURN(T value, files->options_.parse(texts));
    files->Take(std::move(texts), std::move(value));
    return files;
  }

  // Looks at the files. New ones, and each new reason to refuse what is there, are logged and
  // counted.
  void Poll() {
    absl::MutexLock lock(&poll_mu_);
    absl::StatusOr<std::vector<std::string>> texts = Read();
    if (!texts.ok()) return Refuse(texts.status());
    if (*texts == texts_) {
      if (refusal_.ok()) return;
      refusal_ = absl::OkStatus();
      return Told("as before");
    }
    absl::StatusOr<T> value = options_.parse(*texts);
    if (!value.ok()) return Refuse(value.status());
    Take(*std::move(texts), *std::move(value));
    Told("reloaded");
  }

  // Never null.
  std::shared_ptr<const T> Get() const {
    absl::MutexLock lock(&mu_);
    return value_;
  }

 private:
  explicit ReloadedFiles(Options options) : options_(std::move(options)) {}

  absl::StatusOr<std::vector<std::string>> Read() const {
    std::vector<std::string> texts;
    for (const std::string& path : options_.paths) {
      ASSIGN_OR_RETURN(texts.emplace_back(), ReadSmallFile(path));
    }
    return texts;
  }

  void Take(std::vector<std::string> texts, T value) ABSL_EXCLUSIVE_LOCKS_REQUIRED(poll_mu_) {
    texts_ = std::move(texts);
    refusal_ = absl::OkStatus();
    const auto taken = std::make_shared<const T>(std::move(value));
    if (options_.on_taken) options_.on_taken(*taken);
    absl::MutexLock lock(&mu_);
    value_ = taken;
  }

  void Refuse(const absl::Status& reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(poll_mu_) {
    if (reason == refusal_) return;
    refusal_ = reason;
    options_.metrics->OnFilesRefused(options_.name);
    Log(LogRecord(LogLevel::kError, "files")
            .Add("files", options_.name)
            .Add("state", "refused")
            .Add("in_use", "what was read before")
            .Add("error", reason.message()));
  }

  void Told(const char* state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(poll_mu_) {
    options_.metrics->OnFilesTaken(options_.name);
    Log(LogRecord(LogLevel::kInfo, "files").Add("files", options_.name).Add("state", state));
  }

  void Log(const LogRecord& record) const {
    if (options_.log) options_.log(record);
  }

  const Options options_;
  absl::Mutex poll_mu_;                                       // One look at a time; before mu_.
  std::vector<std::string> texts_ ABSL_GUARDED_BY(poll_mu_);  // Those in use.
  absl::Status refusal_ ABSL_GUARDED_BY(poll_mu_);            // Of what is on disk.
  mutable absl::Mutex mu_;
  std::shared_ptr<const T> value_ ABSL_GUARDED_BY(mu_);
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ACCESS_RELOADED_FILES_H_
