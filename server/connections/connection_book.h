// Which connections and calls are open, and whether one more may be.
#ifndef DIFFUSIOND_SERVER_CONNECTIONS_CONNECTION_BOOK_H_
#define DIFFUSIOND_SERVER_CONNECTIONS_CONNECTION_BOOK_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace diffusiond {

// Sockets are only looked at, and at most shut down, never owned: a connection is open while its
// descriptor is still the same socket, so nobody has to report an end. A peer is an address and a
// port, as PeerOf writes them, or gRPC. Thread-safe.
class ConnectionBook {
 public:
  struct Limits {
    int total = 4096;
    int per_address = 128;
    int calls = 8192;
    int calls_per_address = 2048;
  };
  // kTakenForIdle: another connection was closed for it.
  enum class Verdict { kTaken, kTakenForIdle, kTooMany, kTooManyOfAddress };
  struct Connection;

  explicit ConnectionBook(Limits limits) : limits_(limits) {}
  ~ConnectionBook();

  // Notes the connection. Where that would pass a limit, the one that has had no call for the
  // longest is closed for it: one of its address, or of all. If all have calls it is not noted.
  Verdict Take(int descriptor, const std::string& peer);

  // Connections, and calls of them, that are open now.
  int CountOpen();
  int CountCalls();

  // A call begins, and ends. Null, which EndCall takes: the peer has no connection here. Each call
  // counts, also one that is to be refused.
  std::shared_ptr<Connection> BeginCall(const std::string& peer);
  void EndCall(const std::shared_ptr<Connection>& connection);

  // Which limit the calls that are open pass: "max_calls_per_address" of the peer's address,
  // "max_calls" of all; null: none, or the peer has no connection here.
  const char* CallLimitPassed(const std::string& peer);

  // Keeps the sockets of those that are open now until the book goes, whoever closes them. Closing
  // a socket while something in it is unread resets the connection (RFC 2525, section 2.17), and
  // with it goes what the other end has not read yet; one that is shut down and still held says
  // FIN after the last byte.
  void HoldOpen();

 private:
  struct OfAddress {
    int connections = 0;
    int calls = 0;
  };
  using Entry = std::map<int, std::shared_ptr<Connection>>::iterator;

  Verdict Judge(const std::string& address) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ForgetClosed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Entry Forget(Entry entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Of the address, or of all. False: there is none.
  bool CloseLongestIdle(const std::string* address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Limits limits_;
  absl::Mutex mu_;
  std::map<int, std::shared_ptr<Connection>> open_ ABSL_GUARDED_BY(mu_);  // By descriptor.
  std::map<std::string, std::shared_ptr<Connection>> by_peer_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, OfAddress> by_address_ ABSL_GUARDED_BY(mu_);
  int calls_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t turn_ ABSL_GUARDED_BY(mu_) = 0;  // Grows with each beginning of idleness.
  std::vector<int> held_ ABSL_GUARDED_BY(mu_);
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_CONNECTIONS_CONNECTION_BOOK_H_
