// How many connections may come in a second.
#ifndef DIFFUSIOND_SERVER_CONNECTIONS_CONNECTION_RATE_H_
#define DIFFUSIOND_SERVER_CONNECTIONS_CONNECTION_RATE_H_

#include <functional>
#include <map>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace diffusiond {

// What a connection costs is its handshake: with TLS some milliseconds of a core, before anybody
// knows who it is. Token buckets, one for all and one an address, which fill by so many a second
// and hold those of kBurst: whoever comes after a pause may come with that many at once. What one
// address is refused takes nothing from the others. Thread-compatible.
class ConnectionRate {
 public:
  static constexpr absl::Duration kBurst = absl::Seconds(2);

  struct Limits {
    int total = 1000;  // A second; at least 1.
    int per_address = 200;
  };
  enum class Verdict { kTaken, kTooMany, kTooManyOfAddress };

  explicit ConnectionRate(Limits limits, std::function<absl::Time()> now = absl::Now);

  // Takes a token of both buckets, or none. `address`: without a port.
  Verdict Take(const std::string& address);

  // Addresses whose buckets are known: those that came within the last two bursts, of which `total`
  // lets in so many.
  size_t addresses() const { return by_address_.size(); }

 private:
  struct Bucket {
    double tokens = 0;
    absl::Time filled;
  };

  static Bucket Full(int rate, absl::Time now);
  static void Fill(int rate, absl::Time now, Bucket& bucket);
  void ForgetFull(absl::Time now);

  const Limits limits_;
  const std::function<absl::Time()> now_;
  Bucket all_;
  std::map<std::string, Bucket> by_address_;  // But for full ones.
  absl::Time swept_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_CONNECTIONS_CONNECTION_RATE_H_
