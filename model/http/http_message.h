// What a request of HTTP says and what an answer to it says, apart from bytes and sockets.
#ifndef DIFFUSIOND_MODEL_HTTP_HTTP_MESSAGE_H_
#define DIFFUSIOND_MODEL_HTTP_HTTP_MESSAGE_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

// Names and values in the order in which they came: of headers, of a query, of a form.
using HttpFields = std::vector<std::pair<std::string, std::string>>;

// The first value of a header, whatever the case of its name; nullptr: there is none.
const std::string* FindHeader(const HttpFields& headers, absl::string_view name);

struct HttpRequest {
  std::string method;
  // Decoded, with its first '/'. An encoded slash is a slash: not the name of a file.
  std::string path;
  HttpFields query = {};    // Decoded.
  HttpFields headers = {};  // Trailers of a chunked body are not among them.
  std::string body = {};
  std::string peer = {};  // "ipv4:192.0.2.1:50051", "ipv6:[2001:db8::1]:50051"
  // The client's certificate, judged by the server's authorities; PEM; empty: none.
  std::string client_certificate = {};
};

// How an answer begins. Content-Length, Transfer-Encoding, Connection and Date are the server's.
struct HttpHead {
  int status = 200;
  std::string content_type = {};  // Empty: none is told.
  HttpFields headers = {};        // More of them.
};

struct HttpAnswer {
  HttpHead head = {};
  std::string body = {};
};

// A line of text, its end included.
HttpAnswer PlainAnswer(int status, absl::string_view text);

// "Not Found"; empty for statuses that are not known here.
absl::string_view ReasonOf(int status);

// INVALID_ARGUMENT: a status out of 200 .. 599; a header whose name is none, that is the server's,
// or whose value would end its line.
absl::Status CheckHead(const HttpHead& head);

// The head's bytes, up to the empty line. `framing`: what the server adds, whole lines.
std::string WrittenHead(const HttpHead& head, absl::string_view framing);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_HTTP_MESSAGE_H_
