// One connection of a server of HTTP, from the handshake to its end.
#ifndef DIFFUSIOND_MODEL_HTTP_HTTP_CONNECTION_H_
#define DIFFUSIOND_MODEL_HTTP_HTTP_CONNECTION_H_

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "model/http/connection_table.h"
#include "model/http/event_loop.h"
#include "model/http/http_exchange.h"
#include "model/http/http_limits.h"
#include "model/http/http_observer.h"
#include "model/http/http_routes.h"
#include "model/http/http_transport.h"
#include "model/http/request_parser.h"

namespace diffusiond {

// What the connections of one server share. Thread-safe: fixed, but for the table and the atomics.
struct HttpService {
  HttpLimits limits;
  HttpRoutes routes;
  std::function<HttpAnswer(int status, const std::string& text)> refusal;
  std::shared_ptr<HttpObserver> observer;
  ConnectionTable table;
  std::atomic<bool> leaving = false;   // Answers say that the connection closes.
  std::atomic<bool> draining = false;  // And those without a request close.
  std::atomic<size_t> bodies_bytes = 0;
};

// Its state is the socket's callbacks' alone; TabledConnection's functions post to them.
class HttpConnection : public TabledConnection,
                       public std::enable_shared_from_this<HttpConnection> {
 public:
  // Admitted by the service's table as `id`. Starts with Start, once.
  HttpConnection(std::shared_ptr<HttpService> service, std::shared_ptr<WatchedSocket> socket,
                 std::unique_ptr<HttpTransport> transport, std::string peer,
                 ConnectionTable::Id id);

  void Start();

  void Evict() override;
  void Drain() override;
  void Cut() override;

 private:
  enum class State {
    kHandshake,
    kReading,    // A request, or waiting for one: parser_ is null.
    kAnswering,  // exchange_ is not null. What comes is read on, for the client's end.
    kLingering,  // All is sent; the client is to close.
    kClosed,
  };

  void Handshake();
  void AwaitRequest();

  // Calls `step` when the socket can be read or written; one of each kind at a time.
  void AwaitReadable();
  void AwaitWritable();
  void OnReadable();
  void OnWritable();
  void OnDeadline();

  bool WantsInput() const;
  void Read();
  void OnEnd();
  void Parse();
  RequestParser::Progress JudgeHead();
  // What it holds of a body counts for all. False: that is too much.
  bool CountBody();
  void ForgetBody();
  void Handle();
  void StartExchange(bool keep_alive);
  // The connection stays afterwards if nothing of the request is left to read.
  void Refuse(HttpAnswer answer, bool keep_alive);
  void RefuseBad(int status, const std::string& text);

  void OnOutput();
  void Write();
  bool TakeOutput();
  void FinishAnswer();
  void Linger();
  // Says goodbye, where that can be said at once.
  void Leave(HttpEnd end);
  void Close(HttpEnd end);

  const std::shared_ptr<HttpService> service_;
  const std::shared_ptr<WatchedSocket> socket_;
  const std::unique_ptr<HttpTransport> transport_;
  const std::string peer_;
  const ConnectionTable::Id id_;

  State state_ = State::kHandshake;
  std::string client_certificate_;
  bool awaits_readable_ = false;
  bool awaits_writable_ = false;
  bool ended_ = false;  // The client sends no more.

  std::string in_;                         // Read and not understood yet.
  std::unique_ptr<RequestParser> parser_;  // Of a request that has begun.
  const HttpRoute* route_ = nullptr;
  std::string method_;
  size_t counted_bytes_ = 0;  // In bodies_bytes.

  std::shared_ptr<HttpExchange> exchange_;
  std::deque<std::string> out_;  // To be sent.
  size_t sent_of_front_ = 0;
  bool keep_alive_ = false;  // As the request has it.
  bool sending_ = false;     // What was taken of exchange_ is in out_, or was and is not told.
  bool last_ = false;        // And is the answer's end,
  bool close_ = false;       // with which the connection ends.
  bool progress_ = false;    // Something was taken since the deadline was set.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_HTTP_CONNECTION_H_
