#include "model/http/http_exchange.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace diffusiond {
namespace {

bool HasNoBody(int status) { return status == 204 || status == 304; }

std::string DateLine() {
  return absl::StrCat(
      "Date: ", absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::Now(), absl::UTCTimeZone()),
      "\r\n");
}

// `head` if it may be sent. What is wrong with it is the program's fault and not for the client.
HttpHead Sendable(HttpHead head, std::string& body) {
  if (CheckHead(head).ok()) return head;
  HttpAnswer fault = PlainAnswer(500, "the answer could not be written");
  body = std::move(fault.body);
  return std::move(fault.head);
}

}  // namespace

HttpResponder::HttpResponder(std::shared_ptr<HttpExchange> exchange)
    : exchange_(std::move(exchange)) {}
HttpResponder::~HttpResponder() { exchange_->Abandon(); }
void HttpResponder::Answer(HttpAnswer answer) { exchange_->Answer(std::move(answer)); }
void HttpResponder::Begin(HttpHead head) { exchange_->Begin(std::move(head)); }
HttpResponder::Written HttpResponder::Write(std::string piece) {
  return exchange_->Write(std::move(piece));
}
void HttpResponder::End() { exchange_->End(); }
size_t HttpResponder::unsent() const { return exchange_->unsent(); }
void HttpResponder::OnGone(std::function<void()> gone) { exchange_->OnGone(std::move(gone)); }
void HttpResponder::OnTaken(std::function<void()> taken) { exchange_->OnTaken(std::move(taken)); }

HttpExchange::HttpExchange(const Options& options, std::function<void()> wake)
    : options_(options), wake_(std::move(wake)) {}

void HttpExchange::Wake() {
  if (wake_ == nullptr || woken_) return;
  woken_ = true;
  wake_();
}

std::vector<std::function<void()>> HttpExchange::Finish() {
  whole_ = true;
  return {std::exchange(on_gone_, nullptr), std::exchange(on_taken_, nullptr)};
}

void HttpExchange::AnswerLocked(HttpAnswer answer) {
  shape_ = Shape::kAnswer;
  pending_ = std::move(answer.body);
  head_ = Sendable(std::move(answer.head), pending_);
  Wake();
}

void HttpExchange::Answer(HttpAnswer answer) {
  std::vector<std::function<void()>> dropped;
  absl::MutexLock lock(&mutex_);
  if (shape_ != Shape::kNone || gone_) return;
  dropped = Finish();
  AnswerLocked(std::move(answer));
}

void HttpExchange::Begin(HttpHead head) {
  std::vector<std::function<void()>> dropped;
  absl::MutexLock lock(&mutex_);
  if (shape_ != Shape::kNone || gone_) return;
  if (!CheckHead(head).ok()) {
    dropped = Finish();
    AnswerLocked({.head = std::move(head)});
    return;
  }
  shape_ = Shape::kStream;
  head_ = std::move(head);
  if (options_.is_head || HasNoBody(head_.status)) dropped = Finish();
  Wake();
}

HttpResponder::Written HttpExchange::Write(std::string piece) {
  absl::MutexLock lock(&mutex_);
  if (gone_ || whole_ || shape_ != Shape::kStream) return HttpResponder::Written::kGone;
  // A chunk without bytes would be the end.
  if (piece.empty()) return HttpResponder::Written::kTaken;
  const size_t unsent = waiting_ + taken_;
  if (unsent > 0 && unsent + piece.size() > options_.max_unsent_bytes) {
    return HttpResponder::Written::kFull;
  }
  waiting_ += piece.size();
  if (options_.is_http_1_0) {
    pending_ += piece;
  } else {
    absl::StrAppend(&pending_, absl::Hex(piece.size()), "\r\n", piece, "\r\n");
  }
  Wake();
  return HttpResponder::Written::kTaken;
}

void HttpExchange::End() {
  std::vector<std::function<void()>> dropped;
  absl::MutexLock lock(&mutex_);
  if (gone_ || whole_ || shape_ != Shape::kStream) return;
  dropped = Finish();
  if (!options_.is_http_1_0) pending_ += "0\r\n\r\n";
  Wake();
}

void HttpExchange::Abandon() {
  std::vector<std::function<void()>> dropped;
  absl::MutexLock lock(&mutex_);
  if (gone_ || whole_) return;
  dropped = Finish();
  if (shape_ == Shape::kNone) {
    AnswerLocked(PlainAnswer(500, "no answer was made"));
    return;
  }
  broken_ = true;
  Wake();
}

size_t HttpExchange::unsent() const {
  absl::MutexLock lock(&mutex_);
  return gone_ ? 0 : waiting_ + taken_;
}

void HttpExchange::OnGone(std::function<void()> gone) {
  {
    absl::MutexLock lock(&mutex_);
    if (!gone_) {
      if (!whole_) on_gone_.swap(gone);
      return;
    }
  }
  gone();
}

void HttpExchange::OnTaken(std::function<void()> taken) {
  absl::MutexLock lock(&mutex_);
  if (!gone_ && !whole_) on_taken_.swap(taken);
}

std::string HttpExchange::Framing(bool keep_alive) const {
  std::string lines = DateLine();
  if (shape_ == Shape::kStream && !options_.is_http_1_0 && !HasNoBody(head_.status)) {
    lines += "Transfer-Encoding: chunked\r\n";
  } else if (shape_ == Shape::kAnswer && !HasNoBody(head_.status)) {
    absl::StrAppend(&lines, "Content-Length: ", pending_.size(), "\r\n");
  }
  if (!keep_alive) lines += "Connection: close\r\n";
  return lines;
}

HttpExchange::Output HttpExchange::Take(bool keep_alive) {
  absl::MutexLock lock(&mutex_);
  woken_ = false;
  Output output;
  if (gone_ || shape_ == Shape::kNone) return output;
  if (shape_ == Shape::kStream && options_.is_http_1_0) keep_alive = false;
  if (!head_taken_) {
    head_taken_ = true;
    output.status = head_.status;
    output.bytes.push_back(WrittenHead(head_, Framing(keep_alive)));
  }
  const bool no_body = options_.is_head || HasNoBody(head_.status);
  if (!pending_.empty() && !no_body) output.bytes.push_back(std::exchange(pending_, {}));
  taken_ += std::exchange(waiting_, 0);
  output.last = whole_;
  output.close = !keep_alive || broken_;
  return output;
}

void HttpExchange::Sent() {
  std::function<void()> taken;
  {
    absl::MutexLock lock(&mutex_);
    const bool some = std::exchange(taken_, 0) > 0;
    if (some && waiting_ == 0) taken = on_taken_;
    // What that writes is taken next, by who is here.
    woken_ = true;
  }
  if (taken) taken();
}

void HttpExchange::Cut() {
  std::vector<std::function<void()>> dropped;
  std::string unsent;
  std::function<void()> wake;
  {
    absl::MutexLock lock(&mutex_);
    wake_.swap(wake);
    if (gone_) return;
    gone_ = true;
    pending_.swap(unsent);
    dropped = Finish();
  }
  if (dropped.front()) dropped.front()();
}

bool HttpExchange::whole() const {
  absl::MutexLock lock(&mutex_);
  return whole_;
}

}  // namespace diffusiond
