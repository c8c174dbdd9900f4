#include "model/http/http_connection.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/process/quoted_value.h"

namespace diffusiond {
namespace {

using Outcome = HttpTransport::Outcome;
using Progress = RequestParser::Progress;

constexpr size_t kReadBytes = 16 << 10;
// Reads in a row before others have their turn.
constexpr int kMaxReads = 16;
constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

HttpConnection::HttpConnection(std::shared_ptr<HttpService> service,
                               std::shared_ptr<WatchedSocket> socket,
                               std::unique_ptr<HttpTransport> transport, std::string peer,
                               ConnectionTable::Id id)
    : service_(std::move(service)),
      socket_(std::move(socket)),
      transport_(std::move(transport)),
      peer_(std::move(peer)),
      id_(id) {}

void HttpConnection::Start() {
  service_->observer->OnConnection();
  socket_->Post([self = shared_from_this()] {
    if (self->state_ == State::kClosed) return;
    self->socket_->OnDeadline([weak = self->weak_from_this()] {
      if (const auto connection = weak.lock()) connection->OnDeadline();
    });
    self->socket_->SetDeadline(self->service_->limits.handshake_time);
    self->Handshake();
  });
}

void HttpConnection::Evict() {
  socket_->Post([self = shared_from_this()] { self->Close(HttpEnd::kEvicted); });
}

void HttpConnection::Cut() {
  socket_->Post([self = shared_from_this()] { self->Close(HttpEnd::kStopped); });
}

void HttpConnection::Drain() {
  socket_->Post([self = shared_from_this()] {
    const bool idle = self->state_ == State::kReading && self->parser_ == nullptr;
    if (idle || self->state_ == State::kHandshake) self->Leave(HttpEnd::kStopped);
  });
}

void HttpConnection::Handshake() {
  switch (transport_->Handshake().outcome) {
    case Outcome::kDone:
      client_certificate_ = transport_->ClientCertificate();
      AwaitRequest();
      return;
    case Outcome::kWaitsToRead:
      AwaitReadable();
      return;
    case Outcome::kWaitsToWrite:
      AwaitWritable();
      return;
    case Outcome::kEnd:
    case Outcome::kBroken:
      Close(HttpEnd::kHandshake);
      return;
  }
}

void HttpConnection::AwaitRequest() {
  state_ = State::kReading;
  parser_.reset();
  // Pipelined, or nothing: then an idle connection holds no memory for it.
  if (in_.empty()) std::string().swap(in_);
  // Its last answer may have been taken before the drain began.
  if (in_.empty() && service_->draining) return Leave(HttpEnd::kStopped);
  socket_->SetDeadline(service_->limits.idle_time);
  Parse();
  Read();
}

void HttpConnection::AwaitReadable() {
  if (std::exchange(awaits_readable_, true)) return;
  socket_->AwaitReadable([self = shared_from_this()] { self->OnReadable(); });
}

void HttpConnection::AwaitWritable() {
  if (std::exchange(awaits_writable_, true)) return;
  socket_->AwaitWritable([self = shared_from_this()] { self->OnWritable(); });
}

// TLS may want to read in order to write, and the other way round: each event tries both.
void HttpConnection::OnReadable() {
  awaits_readable_ = false;
  if (state_ == State::kHandshake) return Handshake();
  if (state_ == State::kLingering) return Linger();
  Read();
  if (!awaits_writable_) Write();
}

void HttpConnection::OnWritable() {
  awaits_writable_ = false;
  if (state_ == State::kHandshake) return Handshake();
  Write();
  if (!awaits_readable_) Read();
}

void HttpConnection::OnDeadline() {
  switch (state_) {
    case State::kHandshake:
      return Close(HttpEnd::kHandshake);
    case State::kReading:
      if (parser_ == nullptr) return Leave(HttpEnd::kIdle);
      return RefuseBad(408, "the request took too long to come");
    case State::kAnswering:
      return Close(HttpEnd::kSlowReader);
    case State::kLingering:
      return Close(HttpEnd::kAnswered);
    case State::kClosed:
      return;
  }
}

bool HttpConnection::WantsInput() const {
  if (ended_) return false;
  if (state_ == State::kReading) return true;
  return state_ == State::kAnswering && in_.size() < service_->limits.max_header_bytes;
}

void HttpConnection::Read() {
  for (int reads = 0; WantsInput(); ++reads) {
    // Not by waiting: TLS may have read more than it gave.
    if (reads == kMaxReads) return socket_->Post([self = shared_from_this()] { self->Read(); });
    char bytes[kReadBytes];
    const size_t room = state_ == State::kReading
                            ? kReadBytes
                            : std::min(kReadBytes, service_->limits.max_header_bytes - in_.size());
    const HttpTransport::Result read = transport_->Read(bytes, room);
    switch (read.outcome) {
      case Outcome::kDone:
        in_.append(bytes, read.bytes);
        if (state_ == State::kReading) Parse();
        break;
      case Outcome::kWaitsToRead:
        return AwaitReadable();
      case Outcome::kWaitsToWrite:
        return AwaitWritable();
      case Outcome::kEnd:
        return OnEnd();
      case Outcome::kBroken:
        return Close(HttpEnd::kClient);
    }
  }
}

// A client that closed its side cannot be told from one that is gone, unless it takes what is sent:
// it gets an answer that is made already, and none is made for it.
void HttpConnection::OnEnd() {
  ended_ = true;
  if (exchange_ == nullptr || !exchange_->whole()) Close(HttpEnd::kClient);
}

void HttpConnection::Parse() {
  if (in_.empty()) return;
  if (parser_ == nullptr) {
    parser_ = std::make_unique<RequestParser>(service_->limits.max_header_bytes);
    socket_->SetDeadline(service_->limits.request_time);
  }
  Progress progress = parser_->Parse(in_);
  if (progress == Progress::kHead) progress = JudgeHead();
  if (state_ != State::kReading) return;
  if (!CountBody()) return RefuseBad(503, "too much is being sent by all together");
  if (progress == Progress::kWhole) return Handle();
  if (progress == Progress::kBad) {
    const RequestParser::Error error = parser_->error();
    RefuseBad(error.status, error.text);
  }
}

Progress HttpConnection::JudgeHead() {
  HttpRequest& head = parser_->request();
  head.peer = peer_;
  head.client_certificate = client_certificate_;
  method_ = head.method;
  const bool keep_alive = parser_->keep_alive() && !parser_->has_body();
  const HttpRoutes::Found found = service_->routes.Find(head.method, head.path);
  route_ = found.route;
  if (!found.path_is_known) {
    Refuse(service_->refusal(404, "nothing is here"), keep_alive);
    return Progress::kBad;
  }
  if (route_ == nullptr) {
    HttpAnswer answer = service_->refusal(
        405, absl::StrCat(QuoteValue(head.method), " is not taken here: ", found.allow));
    answer.head.headers.emplace_back("Allow", found.allow);
    Refuse(std::move(answer), keep_alive);
    return Progress::kBad;
  }
  if (route_->refuse) {
    if (std::optional<HttpAnswer> answer = route_->refuse(head)) {
      Refuse(*std::move(answer), keep_alive);
      return Progress::kBad;
    }
  }
  const Progress progress = parser_->Continue(in_, route_->max_body_bytes);
  if (progress == Progress::kNeedsMore && parser_->expects_continue() && head.body.empty()) {
    out_.emplace_back(kContinue);
    Write();
  }
  return progress;
}

bool HttpConnection::CountBody() {
  const size_t more = parser_->request().body.size() - counted_bytes_;
  counted_bytes_ += more;
  return (service_->bodies_bytes += more) <= service_->limits.max_bodies_bytes;
}

void HttpConnection::ForgetBody() { service_->bodies_bytes -= std::exchange(counted_bytes_, 0); }

void HttpConnection::Handle() {
  if (!service_->table.Begin(id_)) return Close(HttpEnd::kEvicted);
  StartExchange(parser_->keep_alive());
  auto responder = std::make_shared<HttpResponder>(exchange_);
  try {
    route_->handle(std::move(parser_->request()), std::move(responder));
  } catch (...) {
    // Who answers no more is answered for: ~HttpResponder.
  }
  ForgetBody();  // The handler's by now.
  if (exchange_->whole()) service_->table.Finish(id_);
}

void HttpConnection::StartExchange(bool keep_alive) {
  state_ = State::kAnswering;
  // What is left of "100 Continue" nobody may ever take.
  if (out_.empty()) {
    socket_->ClearDeadline();
  } else {
    socket_->SetDeadline(service_->limits.slow_reader_time);
  }
  keep_alive_ = keep_alive;
  sending_ = last_ = close_ = false;
  exchange_ = std::make_shared<HttpExchange>(
      HttpExchange::Options{.max_unsent_bytes = service_->limits.max_unsent_bytes,
                            .is_head = method_ == "HEAD",
                            .is_http_1_0 = parser_->is_http_1_0()},
      [weak = weak_from_this()] {
        const std::shared_ptr<HttpConnection> self = weak.lock();
        if (self != nullptr) self->socket_->Post([self] { self->OnOutput(); });
      });
}

void HttpConnection::Refuse(HttpAnswer answer, bool keep_alive) {
  service_->observer->OnRequestRefused(answer.head.status);
  parser_->request().body.clear();
  parser_->request().body.shrink_to_fit();
  ForgetBody();
  StartExchange(keep_alive);
  exchange_->Answer(std::move(answer));
}

void HttpConnection::RefuseBad(int status, const std::string& text) {
  Refuse(service_->refusal(status, text), /*keep_alive=*/false);
}

void HttpConnection::OnOutput() {
  if (state_ == State::kAnswering && !awaits_writable_) Write();
}

void HttpConnection::Write() {
  while (state_ != State::kClosed) {
    if (out_.empty()) {
      if (exchange_ == nullptr) return;
      if (std::exchange(sending_, false)) {
        exchange_->Sent();
        if (last_) return FinishAnswer();
      }
      if (!TakeOutput()) return socket_->ClearDeadline();
      continue;
    }
    const absl::string_view rest = absl::string_view(out_.front()).substr(sent_of_front_);
    const HttpTransport::Result written = transport_->Write(rest);
    if (written.outcome == Outcome::kDone) {
      progress_ = true;
      sent_of_front_ += written.bytes;
      if (sent_of_front_ < out_.front().size()) continue;
      out_.pop_front();
      sent_of_front_ = 0;
    } else if (written.outcome == Outcome::kWaitsToWrite ||
               written.outcome == Outcome::kWaitsToRead) {
      // Until its answer is made a request's own deadline holds.
      if (std::exchange(progress_, false) && state_ == State::kAnswering) {
        socket_->SetDeadline(service_->limits.slow_reader_time);
      }
      return written.outcome == Outcome::kWaitsToWrite ? AwaitWritable() : AwaitReadable();
    } else {
      return Close(HttpEnd::kClient);
    }
  }
}

bool HttpConnection::TakeOutput() {
  HttpExchange::Output output = exchange_->Take(keep_alive_ && !ended_ && !service_->leaving);
  if (output.status.has_value()) service_->observer->OnAnswer(method_, *output.status);
  if (output.bytes.empty() && !output.last) return false;
  for (std::string& bytes : output.bytes) out_.push_back(std::move(bytes));
  sending_ = true;
  progress_ = true;
  last_ = output.last;
  close_ |= output.close;
  // From now on only its reader keeps it, who may be slow.
  if (last_) service_->table.Finish(id_);
  return true;
}

void HttpConnection::FinishAnswer() {
  std::exchange(exchange_, nullptr)->Cut();
  method_.clear();
  if (!close_ && !ended_) return AwaitRequest();
  state_ = State::kLingering;
  transport_->EndWriting();
  socket_->SetDeadline(service_->limits.linger_time);
  if (ended_) return Close(HttpEnd::kAnswered);
  Linger();
}

void HttpConnection::Linger() {
  for (int reads = 0; reads < kMaxReads; ++reads) {
    switch (DiscardInput(socket_->descriptor()).outcome) {
      case Outcome::kDone:
        break;
      case Outcome::kWaitsToRead:
      case Outcome::kWaitsToWrite:
        return AwaitReadable();
      case Outcome::kEnd:
      case Outcome::kBroken:
        return Close(HttpEnd::kAnswered);
    }
  }
  AwaitReadable();
}

void HttpConnection::Leave(HttpEnd end) {
  transport_->EndWriting();
  Close(end);
}

void HttpConnection::Close(HttpEnd end) {
  if (std::exchange(state_, State::kClosed) == State::kClosed) return;
  socket_->Close();
  out_.clear();
  ForgetBody();
  if (exchange_ != nullptr) std::exchange(exchange_, nullptr)->Cut();
  service_->observer->OnConnectionEnded(end);
  // Last of all: who waits for the table to be empty takes the threads away.
  service_->table.Remove(id_);
}

}  // namespace diffusiond
