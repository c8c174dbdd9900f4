// A file with one line of JSON for each call.
#ifndef DIFFUSIOND_SERVER_LOGGING_ACCESS_LOG_H_
#define DIFFUSIOND_SERVER_LOGGING_ACCESS_LOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/logging/log_record.h"

namespace diffusiond {

// Written by a thread of its own, so that no call waits for a disk. A line that finds too many
// waiting is left out, and so are those that cannot be written; both are counted. The file is
// appended to; once another stands at its path, or none, as after a rotation, a new one is opened.
// A pipe that nobody reads holds up neither calls nor the end. Thread-safe.
class AccessLog {
 public:
  static constexpr absl::Duration kLastWords = absl::Seconds(2);

  struct Options {
    std::string path;       // "-": standard output.
    int max_queued = 8192;  // Lines that wait to be written, at least 1.
    // For what waits when the log goes, and finds no room.
    absl::Duration last_words = kLastWords;
    std::function<absl::Time()> now = absl::Now;
    // So many lines were lost: "queue", too many waited; "write", the file took them not. From any
    // thread, must not block. May be unset.
    std::function<void(const std::string& why, int lines)> on_lost = nullptr;
    // Of a file that cannot be written, once until it can again. May be unset.
    LogSink log = nullptr;
  };

  // Not OK: the file cannot be opened for appending.
  static absl::StatusOr<std::unique_ptr<AccessLog>> Open(Options options);
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;
  ~AccessLog();  // Writes what waits, as far as there is room for it in time.

  // Takes a line; does not wait.
  void Write(const LogRecord& record);

  // Waits until what was taken so far is in the file, or lost.
  void Flush();

 private:
  explicit AccessLog(Options options) : options_(std::move(options)) {}

  void WriteUntilStopped() ABSL_LOCKS_EXCLUDED(mu_);
  // Of the writing thread alone.
  absl::Status OpenFile();
  // What one write(2) takes without waiting for a reader, of `text` from `begin` on.
  size_t PieceOf(const std::string& text, size_t begin) const;
  // False: there was none until the last word.
  bool AwaitRoom() ABSL_LOCKS_EXCLUDED(mu_);
  bool IsTooLate() ABSL_LOCKS_EXCLUDED(mu_);
  void FollowPath();
  void WriteAll(const std::string& lines);
  void Tell(const absl::Status& status);

  const Options options_;
  int descriptor_ = -1;
  bool waits_for_readers_ = false;  // As pipes do, and terminals.
  bool failing_ = false;
  bool torn_ = false;  // The file ends within a line.
  int64_t lost_at_end_ = 0;

  absl::Mutex mu_;
  std::vector<std::string> waiting_ ABSL_GUARDED_BY(mu_);
  int writing_ ABSL_GUARDED_BY(mu_) = 0;  // Lines in the thread's hands.
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time last_word_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  std::thread thread_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_LOGGING_ACCESS_LOG_H_
