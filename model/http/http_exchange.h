// One answer on its way from whoever makes it to the connection that carries it.
#ifndef DIFFUSIOND_MODEL_HTTP_HTTP_EXCHANGE_H_
#define DIFFUSIOND_MODEL_HTTP_HTTP_EXCHANGE_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "model/http/http_message.h"
#include "model/http/http_responder.h"

namespace diffusiond {

// Thread-safe. The maker's side is HttpResponder's; the connection's is called by one thread at a
// time.
class HttpExchange {
 public:
  struct Options {
    size_t max_unsent_bytes = 0;
    bool is_head = false;      // The method HEAD: no body goes.
    bool is_http_1_0 = false;  // A stream has no chunks, and ends with its connection.
  };
  // What goes next. Nothing to send and not `last`: nothing has come.
  struct Output {
    std::vector<std::string> bytes = {};
    std::optional<int> status = {};  // The head is among the bytes.
    bool last = false;               // The answer is whole with this.
    bool close = false;              // And its connection ends with it.
  };

  // `wake`: called when there is something to take, under the exchange's lock: it only notes it.
  // Not called after Cut.
  HttpExchange(const Options& options, std::function<void()> wake);

  // The maker's side.
  void Answer(HttpAnswer answer);
  void Begin(HttpHead head);
  HttpResponder::Written Write(std::string piece);
  void End();
  void Abandon();
  size_t unsent() const;
  void OnGone(std::function<void()> gone);
  void OnTaken(std::function<void()> taken);

  // The connection's side. `keep_alive`: whether the connection would stay; what a head that is
  // taken now tells the client.
  Output Take(bool keep_alive);
  // What was taken has been sent.
  void Sent();
  // Nothing more can be sent.
  void Cut();
  // The maker is done: all that is left is to send it.
  bool whole() const;

 private:
  enum class Shape { kNone, kAnswer, kStream };

  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Neither callback will be called any more; to be destroyed without the lock.
  std::vector<std::function<void()>> Finish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AnswerLocked(HttpAnswer answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Framing(bool keep_alive) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  mutable absl::Mutex mutex_;
  std::function<void()> wake_ ABSL_GUARDED_BY(mutex_);  // Empty: cut.
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  Shape shape_ ABSL_GUARDED_BY(mutex_) = Shape::kNone;
  HttpHead head_ ABSL_GUARDED_BY(mutex_);
  bool head_taken_ ABSL_GUARDED_BY(mutex_) = false;
  std::string pending_ ABSL_GUARDED_BY(mutex_);  // The body, or pieces in their frames.
  size_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;   // Bytes of pieces that were not taken.
  size_t taken_ ABSL_GUARDED_BY(mutex_) = 0;     // And of those that were, and are not sent.
  bool whole_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;  // Whole, but without its end.
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> on_gone_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_taken_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_HTTP_EXCHANGE_H_
