#include "server/logging/access_log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// Who calls is nobody's business but the operator's.
constexpr mode_t kFileMode = 0640;

// How often who waits for a reader looks whether the end has come.
constexpr int kLookMs = 50;

bool IsRegularFile(int descriptor) {
  struct stat found = {};
  return fstat(descriptor, &found) == 0 && S_ISREG(found.st_mode);
}

}  // namespace

absl::StatusOr<std::unique_ptr<AccessLog>> AccessLog::Open(Options options) {
  std::unique_ptr<AccessLog> log(new AccessLog(std::move(options)));
  RETURN_IF_ERROR(log->OpenFile());
  log->thread_ = std::thread([log = log.get()] { log->WriteUntilStopped(); });
  return log;
}

AccessLog::~AccessLog() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    last_word_ = absl::Now() + options_.last_words;
  }
  if (thread_.joinable()) thread_.join();
  if (lost_at_end_ > 0 && options_.log) {
    options_.log(LogRecord(LogLevel::kError, "access log")
                     .Add("state", "ended")
                     .Add("lines_lost", lost_at_end_)
                     .Add("error", absl::StrCat(options_.path, " had no room for them")));
  }
  if (descriptor_ > STDERR_FILENO) close(descriptor_);
}

void AccessLog::Write(const LogRecord& record) {
  std::string line = absl::StrCat(FormatLogRecord(LogFormat::kJson, options_.now(), record), "\n");
  {
    absl::MutexLock lock(&mu_);
    if (static_cast<int>(waiting_.size()) + writing_ < options_.max_queued) {
      waiting_.push_back(std::move(line));
      return;
    }
  }
  if (options_.on_lost) options_.on_lost("queue", 1);
}

void AccessLog::Flush() {
  const auto written = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return waiting_.empty() && writing_ == 0;
  };
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&written));
}

void AccessLog::WriteUntilStopped() {
  const auto has_work = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopping_ || !waiting_.empty();
  };
  while (true) {
    std::vector<std::string> lines;
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(&has_work));
      if (waiting_.empty()) return;
      lines = std::exchange(waiting_, {});
      writing_ = static_cast<int>(lines.size());
    }
    FollowPath();
    WriteAll(absl::StrJoin(lines, ""));
    absl::MutexLock lock(&mu_);
    writing_ = 0;
  }
}

absl::Status AccessLog::OpenFile() {
  descriptor_ = options_.path == "-"
                    ? STDOUT_FILENO
                    : open(options_.path.c_str(),
                           O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, kFileMode);
  if (descriptor_ < 0) {
    return absl::UnavailableError(
        absl::StrCat(options_.path, " cannot be appended to: ", std::strerror(errno)));
  }
  waits_for_readers_ = !IsRegularFile(descriptor_);
  return absl::OkStatus();
}

void AccessLog::FollowPath() {
  if (options_.path == "-") return;
  struct stat there = {};
  struct stat ours = {};
  const bool same = descriptor_ >= 0 && stat(options_.path.c_str(), &there) == 0 &&
                    fstat(descriptor_, &ours) == 0 && there.st_dev == ours.st_dev &&
                    there.st_ino == ours.st_ino;
  if (same) return;
  const int before = descriptor_;
  if (OpenFile().ok()) {
    torn_ = false;
    if (before >= 0) close(before);
  } else {
    descriptor_ = before;  // The old one is better than none.
  }
}

size_t AccessLog::PieceOf(const std::string& text, size_t begin) const {
  const size_t rest = text.size() - begin;
  // poll(2) promises room for so much of a pipe, which is also written in one piece: whole lines.
  if (!waits_for_readers_ || rest <= PIPE_BUF) return rest;
  const size_t end = text.rfind('\n', begin + PIPE_BUF - 1);
  return end == std::string::npos || end < begin ? PIPE_BUF : end + 1 - begin;
}

bool AccessLog::IsTooLate() {
  absl::MutexLock lock(&mu_);
  return absl::Now() >= last_word_;
}

// With a descriptor that is others' as well (standard output) no flag may be set, so that a write
// without room would wait for the reader, however long.
bool AccessLog::AwaitRoom() {
  if (!waits_for_readers_) return true;
  pollfd room = {.fd = descriptor_, .events = POLLOUT, .revents = 0};
  while (!IsTooLate()) {
    if (poll(&room, 1, kLookMs) > 0) return true;
  }
  return false;
}

void AccessLog::WriteAll(const std::string& lines) {
  const std::string text = absl::StrCat(torn_ ? "\n" : "", lines);
  size_t written = 0;
  absl::Status status;
  bool has_room = true;
  while (written < text.size() && status.ok()) {
    has_room = AwaitRoom();
    if (!has_room) break;
    const ssize_t count = write(descriptor_, text.data() + written, PieceOf(text, written));
    if (count >= 0) {
      written += static_cast<size_t>(count);
    } else if (errno != EINTR) {
      status = absl::UnavailableError(
          absl::StrCat(options_.path, " cannot be written: ", std::strerror(errno)));
    }
  }
  if (written > 0) torn_ = text[written - 1] != '\n';
  const auto lost =
      std::count(text.begin() + static_cast<std::ptrdiff_t>(written), text.end(), '\n');
  if (lost > 0 && options_.on_lost) options_.on_lost("write", static_cast<int>(lost));
  if (has_room) return Tell(status);
  lost_at_end_ += lost;
}

void AccessLog::Tell(const absl::Status& status) {
  const bool fails = !status.ok();
  if (fails == std::exchange(failing_, fails) || !options_.log) return;
  LogRecord record(fails ? LogLevel::kError : LogLevel::kInfo, "access log");
  record.Add("state", fails ? "failing" : "written again");
  if (fails) record.Add("error", std::string(status.message()));
  options_.log(record);
}

}  // namespace diffusiond
