// POST over HTTP, by libcurl.
#ifndef DIFFUSIOND_SERVER_TRACING_HTTP_POST_H_
#define DIFFUSIOND_SERVER_TRACING_HTTP_POST_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace diffusiond {

// INVALID_ARGUMENT: no http:// or https:// URL.
absl::Status CheckHttpUrl(const std::string& url);

// OK: the other end answered 2xx; what it said besides is not looked at. UNAVAILABLE: it was not
// reached in time, or asks for another try (429, 502, 503, 504). CANCELLED: `give_up` said so,
// which is asked about every second. Else it does not want this. Redirects are not followed.
// Proxies as the environment names them; certificates are checked by the system's authorities.
absl::Status PostJson(const std::string& url, const std::string& body, absl::Duration timeout,
                      const std::function<bool()>& give_up);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_TRACING_HTTP_POST_H_
