// Threads that wait for sockets and deadlines: Boost.Asio, which only event_loop.cc sees.
#ifndef DIFFUSIOND_MODEL_HTTP_EVENT_LOOP_H_
#define DIFFUSIOND_MODEL_HTTP_EVENT_LOOP_H_

#include <functional>
#include <memory>

#include "absl/time/time.h"

namespace diffusiond {

// One socket and what happens to it. Its callbacks are called by the loop's threads, never two at
// once; what they hold is destroyed at Close or at the loop's end. All but Post is for its own
// callbacks to call.
class WatchedSocket {
 public:
  virtual ~WatchedSocket() = default;

  // Thread-safe, while the loop lives. Calls `then` later, even after Close.
  virtual void Post(std::function<void()> then) = 0;
  // Calls `then` once, when there is something, also an end or a fault. One wait of each kind at a
  // time.
  virtual void AwaitReadable(std::function<void()> then) = 0;
  virtual void AwaitWritable(std::function<void()> then) = 0;
  // Calls what OnDeadline was given, once, unless it is set anew or cleared before.
  virtual void SetDeadline(absl::Duration from_now) = 0;
  virtual void ClearDeadline() = 0;
  virtual void OnDeadline(std::function<void()> then) = 0;
  // Closes the descriptor. Of what was awaited nothing is called any more.
  virtual void Close() = 0;

  virtual int descriptor() const = 0;
};

class EventLoop {
 public:
  // `threads`: at least 1. They take no signals.
  explicit EventLoop(int threads);
  // Ends the threads after the callbacks that they are in. All watched sockets must be closed, or
  // theirs to hold who holds them is destroyed here.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Takes ownership of a descriptor that does not block. nullptr: it cannot be watched; it is
  // closed. Must not outlive the loop.
  std::shared_ptr<WatchedSocket> Watch(int descriptor);

 private:
  struct Threads;

  const std::unique_ptr<Threads> threads_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_EVENT_LOOP_H_
