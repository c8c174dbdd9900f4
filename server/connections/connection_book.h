// Which connections are open, and whether one more may be.
#ifndef DIFFUSIOND_SERVER_CONNECTIONS_CONNECTION_BOOK_H_
#define DIFFUSIOND_SERVER_CONNECTIONS_CONNECTION_BOOK_H_

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace diffusiond {

// Sockets are only looked at, never owned: a connection is open while its descriptor is still the
// same socket, so nobody has to report an end. Thread-safe.
class ConnectionBook {
 public:
  struct Limits {
    int total = 4096;
    int per_address = 256;
  };
  enum class Verdict { kTaken, kTooMany, kTooManyOfAddress };

  explicit ConnectionBook(Limits limits) : limits_(limits) {}
  ~ConnectionBook();

  // Notes the connection, unless that would pass a limit. `address`: without a port.
  Verdict Take(int descriptor, const std::string& address);

  // Connections that are open now.
  int CountOpen();

  // Keeps the sockets of those that are open now until the book goes, whoever closes them. Closing
  // a socket while something in it is unread resets the connection (RFC 2525, section 2.17), and
  // with it goes what the other end has not read yet; one that is shut down and still held says
  // FIN after the last byte.
  void HoldOpen();

 private:
  struct Connection {
    dev_t device = 0;
    ino_t inode = 0;
    std::string address;
  };

  Verdict Judge(const std::string& address) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ForgetClosed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Limits limits_;
  absl::Mutex mu_;
  std::map<int, Connection> open_ ABSL_GUARDED_BY(mu_);  // By descriptor.
  std::map<std::string, int> by_address_ ABSL_GUARDED_BY(mu_);
  std::vector<int> held_ ABSL_GUARDED_BY(mu_);
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_CONNECTIONS_CONNECTION_BOOK_H_
