// The bytes of requests made into requests: Boost.Beast's grammar, stricter where that is lenient.
#ifndef DIFFUSIOND_MODEL_HTTP_REQUEST_PARSER_H_
#define DIFFUSIOND_MODEL_HTTP_REQUEST_PARSER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "model/http/http_message.h"

namespace diffusiond {

// One request. Thread-compatible.
//
// Refused beyond what Beast refuses, because two readers may see different requests in it: a
// Transfer-Encoding other than "chunked", or one of HTTP/1.0; not one Host. Beast 1.74 itself
// bounds a head only where it does not come line by line: here a head is whole before Beast sees
// it.
class RequestParser {
 public:
  enum class Progress {
    kNeedsMore,
    // The head has come: all of request() but its body. Continue() goes on.
    kHead,
    kWhole,
    // error() says why; nothing after it can be read.
    kBad,
  };
  struct Error {
    int status = 400;
    std::string text = {};
  };

  // `max_header_bytes`: of the request's line and headers, and of each line between chunks.
  explicit RequestParser(size_t max_header_bytes);
  ~RequestParser();

  // Takes from the front of `bytes` what it understands. Stops behind the head and behind the body.
  // What it leaves in `bytes` when it needs more is at most max_header_bytes.
  Progress Parse(std::string& bytes);

  // After kHead, before anything else is parsed.
  // 413 at once if the body says that it is larger, else when it is.
  Progress Continue(std::string& bytes, uint64_t max_body_bytes);

  // After kHead. Whether anything follows the head.
  bool has_body() const;
  // The client waits for "100 Continue" before it sends the body.
  bool expects_continue() const;
  // HTTP/1.0 is answered without chunks, and its connection closed.
  bool is_http_1_0() const;
  bool keep_alive() const;

  HttpRequest& request();
  const Error& error() const;

 private:
  class Grammar;

  Progress Bad(int status, std::string text);
  Progress ParseHead(std::string& bytes);
  Progress ParseBody(std::string& bytes);
  Progress CheckHead();

  const size_t max_header_bytes_;
  size_t searched_ = 0;  // So many bytes hold no end of the head.
  Error error_;
  std::unique_ptr<Grammar> grammar_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_REQUEST_PARSER_H_
