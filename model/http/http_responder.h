// How a handler answers a request: at once or from anywhere later, whole or piece by piece.
#ifndef DIFFUSIOND_MODEL_HTTP_HTTP_RESPONDER_H_
#define DIFFUSIOND_MODEL_HTTP_HTTP_RESPONDER_H_

#include <functional>
#include <memory>
#include <string>

#include "model/http/http_message.h"

namespace diffusiond {

class HttpExchange;

// Either Answer, or Begin, then Write any number of times, then End. The first of Answer and Begin
// counts; what comes out of order does nothing. Without an answer when it is destroyed, the client
// gets 500; a stream without an end is cut off.
//
// Thread-safe; may outlive its server. Waits for no client: callbacks are called on threads of the
// server, or as they say, and never while a lock of the server is held.
class HttpResponder {
 public:
  enum class Written {
    kTaken,
    // Not taken: it and what waits would be more than max_unsent_bytes. OnTaken will tell.
    kFull,
    // Not taken, nor will anything be.
    kGone,
  };

  explicit HttpResponder(std::shared_ptr<HttpExchange> exchange);
  ~HttpResponder();
  HttpResponder(const HttpResponder&) = delete;
  HttpResponder& operator=(const HttpResponder&) = delete;

  // A head that does not pass CheckHead becomes 500.
  void Answer(HttpAnswer answer);
  // The head goes at once. To HEAD that is all: Write says kGone.
  void Begin(HttpHead head);
  // A piece of any size is taken when nothing waits.
  Written Write(std::string piece);
  void End();

  // Bytes of pieces that the kernel has not taken yet.
  size_t unsent() const;

  // Called once, if before the answer's end the client goes away (closed its side, reset, took
  // nothing for too long) or the server stops. If that was already: at once, by this thread.
  void OnGone(std::function<void()> gone);
  // Called each time that all that was written has been sent, until End.
  void OnTaken(std::function<void()> taken);

 private:
  const std::shared_ptr<HttpExchange> exchange_;
};

using HttpHandler =
    std::function<void(HttpRequest request, std::shared_ptr<HttpResponder> responder)>;

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_HTTP_RESPONDER_H_
