// What one server of HTTP lets others make it hold and wait for.
#ifndef DIFFUSIOND_MODEL_HTTP_HTTP_LIMITS_H_
#define DIFFUSIOND_MODEL_HTTP_HTTP_LIMITS_H_

#include <cstddef>

#include "absl/time/time.h"

namespace diffusiond {

// Counts and sizes are at least 1, times above zero; absl::InfiniteDuration() is no limit.
// How large a body may be says each route.
struct HttpLimits {
  // Open connections. One more closes the one that has had no request in work the longest; if all
  // have one, it is refused with 503 (over TLS closed unsaid).
  int max_connections = 1024;
  // The same among those of one address (HostOf).
  int max_connections_per_address = 64;
  // A request's line and headers, 431; and each line between the chunks of a body. Bytes of a next
  // request that come before this one is answered wait outside when so many are here.
  size_t max_header_bytes = 8 << 10;
  // Of bodies that are coming, all together: 503 to the one that is too much.
  size_t max_bodies_bytes = 256 << 20;
  // The handshake of TLS, closed.
  absl::Duration handshake_time = absl::Seconds(10);
  // From a request's first byte to the end of its body, 408.
  absl::Duration request_time = absl::Seconds(30);
  // Between requests, and before the first, closed.
  absl::Duration idle_time = absl::Minutes(1);
  // While bytes wait to be sent, none is taken: closed.
  absl::Duration slow_reader_time = absl::Seconds(30);
  // After the last answer, for the client to close: an earlier close might cost it the answer's
  // end.
  absl::Duration linger_time = absl::Seconds(2);
  // Of a stream, written and not sent. See HttpResponder::Write.
  size_t max_unsent_bytes = 1 << 20;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_HTTP_LIMITS_H_
