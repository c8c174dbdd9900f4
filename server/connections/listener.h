// Accepts connections, within limits, and hands them on.
#ifndef DIFFUSIOND_SERVER_CONNECTIONS_LISTENER_H_
#define DIFFUSIOND_SERVER_CONNECTIONS_LISTENER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "model/process/listening_sockets.h"
#include "server/connections/connection_book.h"
#include "server/connections/connection_rate.h"

namespace diffusiond {

// What is counted of connections. Told from any thread; must not block.
class ConnectionMetrics {
 public:
  virtual ~ConnectionMetrics() = default;
  // About once a second.
  virtual void OnOpenConnections(int /*open*/, int /*calls*/) {}
  virtual void OnConnectionEvicted() {}  // For another.
  // `limit`: as ConnectionBook has it.
  virtual void OnCallRefused(const std::string& /*limit*/) {}
  // `limit`: "max_connections", "max_connections_per_address", "max_connections_per_second",
  // "max_connections_per_second_per_address" or "descriptors".
  virtual void OnConnectionRefused(const std::string& /*limit*/) {}
};

// gRPC has a listener of its own, which in 1.51 stops for ever when accept(2) fails once, as it
// does when descriptors run out, and which knows no limit. This one keeps a descriptor in reserve:
// whoever cannot be taken is closed at once, and it goes on. Thread-safe.
class Listener {
 public:
  struct Options {
    std::string address;  // As ListenOn takes it.
    ConnectionBook::Limits limits = {};
    ConnectionRate::Limits rate = {};
    ConnectionMetrics* metrics = nullptr;  // Not owned; null: not counted.
    // Tests hand in one that fails. As accept4(2), with SOCK_NONBLOCK and SOCK_CLOEXEC.
    std::function<int(int listening, sockaddr_storage* peer)> accept = nullptr;
  };

  // Binds; clients wait until Start. UNAVAILABLE: the address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<Listener>> Bind(Options options);
  ~Listener();  // As Close.

  // `take` gets connected sockets, non-blocking, owns them, and is called from one thread. Once.
  void Start(std::function<void(int descriptor)> take);

  // Closes the port: whoever connects from now on is refused by the machine. What was taken stays
  // open. `take` is not called any more.
  void Close();

  int port() const { return sockets_.port; }
  int CountOpen() { return book_->CountOpen(); }
  void HoldOpen() { book_->HoldOpen(); }  // As ConnectionBook has it.
  // To be told of the connections' calls.
  const std::shared_ptr<ConnectionBook>& book() const { return book_; }

 private:
  Listener(Options options, ListeningSockets sockets, int wake);

  void AcceptUntilClosed();
  // Takes all that wait on one socket. False: none could be taken for lack of something.
  bool AcceptAll(int listening);
  void Judge(int descriptor, const sockaddr_storage& peer);
  // What the connection would pass, as ConnectionMetrics has it; null: nothing, and it is noted.
  const char* LimitPassedBy(int descriptor, const sockaddr_storage& peer);
  // With no descriptor left: gives the reserve to whoever waits first, to be told so.
  void TurnAwayOne(int listening);

  const Options options_;
  const ListeningSockets sockets_;
  const int wake_;    // An eventfd, readable once the listener closes.
  int reserve_ = -1;  // The thread's.
  const std::shared_ptr<ConnectionBook> book_;
  ConnectionRate rate_;  // The thread's.
  std::function<void(int)> take_;
  std::thread thread_;
  std::atomic<bool> closed_ = false;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_CONNECTIONS_LISTENER_H_
