#include "server/tracing/span_exporter.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/time/clock.h"

namespace diffusiond {

SpanExporter::SpanExporter(Options options)
    : options_(std::move(options)), thread_([this] { SendUntilStopped(); }) {}

SpanExporter::~SpanExporter() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    last_word_ = absl::Now() + options_.last_words;
  }
  thread_.join();
}

void SpanExporter::Export(std::vector<Span> spans) {
  size_t dropped = 0;
  {
    absl::MutexLock lock(&mu_);
    const size_t room = options_.max_queued - std::min(options_.max_queued, waiting_.size());
    const size_t taken = std::min(room, spans.size());
    dropped = spans.size() - taken;
    const auto end = spans.begin() + static_cast<std::ptrdiff_t>(taken);
    waiting_.insert(waiting_.end(), std::make_move_iterator(spans.begin()),
                    std::make_move_iterator(end));
  }
  Count("queue", dropped);
}

void SpanExporter::SendUntilStopped() {
  while (true) {
    const std::vector<Span> batch = NextBatch();
    if (batch.empty()) return;
    Send(batch);
  }
}

std::vector<Span> SpanExporter::NextBatch() {
  const auto some = [this]()
                        ABSL_SHARED_LOCKS_REQUIRED(mu_) { return stopping_ || !waiting_.empty(); };
  const auto enough = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopping_ || waiting_.size() >= kBatch;
  };
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&some));
  mu_.AwaitWithTimeout(absl::Condition(&enough), options_.collect);
  const auto end =
      waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(kBatch, waiting_.size()));
  std::vector<Span> batch(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
  waiting_.erase(waiting_.begin(), end);
  return batch;
}

void SpanExporter::Send(const std::vector<Span>& spans) {
  const std::string body = OtlpJson(options_.resource, spans);
  absl::Status status = absl::CancelledError("no time was left for it");
  for (int attempt = 1; attempt <= kAttempts && !IsTooLate(); ++attempt) {
    status = options_.post(body, [this] { return IsTooLate(); });
    if (!absl::IsUnavailable(status) || !AwaitNextAttempt(attempt)) break;
  }
  Count(status.ok() ? "sent" : "collector", spans.size());
  Tell(status);
}

bool SpanExporter::IsTooLate() {
  absl::MutexLock lock(&mu_);
  return absl::Now() >= last_word_;
}

bool SpanExporter::AwaitNextAttempt(int attempt) {
  if (attempt == kAttempts) return false;
  absl::MutexLock lock(&mu_);
  const absl::Time next = absl::Now() + attempt * options_.retry_after;
  const auto stopping = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return stopping_; };
  // At the end nothing is waited for: who is down now will not be up in a second.
  return !mu_.AwaitWithDeadline(absl::Condition(&stopping), next);
}

void SpanExporter::Count(const char* outcome, size_t spans) const {
  if (spans > 0 && options_.on_spans) options_.on_spans(outcome, spans);
}

void SpanExporter::Tell(const absl::Status& status) {
  const bool fails = !status.ok();
  if (fails == std::exchange(failing_, fails) || !options_.log) return;
  LogRecord record(fails ? LogLevel::kWarning : LogLevel::kInfo, "trace collector");
  record.Add("state", fails ? "takes nothing" : "takes spans again");
  if (fails) record.Add("error", status.message());
  options_.log(record);
}

}  // namespace diffusiond
