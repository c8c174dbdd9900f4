// Bytes over one socket that never blocks, in the clear or by TLS.
#ifndef DIFFUSIOND_MODEL_HTTP_HTTP_TRANSPORT_H_
#define DIFFUSIOND_MODEL_HTTP_HTTP_TRANSPORT_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

struct ssl_ctx_st;

namespace diffusiond {

// Thread-compatible. The descriptor is somebody else's. Writing to a connection that is gone raises
// SIGPIPE: EventLoop's threads block it.
class HttpTransport {
 public:
  enum class Outcome {
    kDone,
    kWaitsToRead,   // Nothing was done; try again when the socket can be read,
    kWaitsToWrite,  // or written.
    kEnd,           // The other side sends no more.
    kBroken,
  };
  struct Result {
    Outcome outcome = Outcome::kDone;
    size_t bytes = 0;  // Some, when done.
  };

  virtual ~HttpTransport() = default;

  // Before all else, until it is done.
  virtual Result Handshake() = 0;
  virtual Result Read(char* to, size_t size) = 0;
  virtual Result Write(absl::string_view bytes) = 0;
  // Tells the other side that nothing more comes, if that can be told at once.
  virtual void EndWriting() = 0;
  // PEM; empty: none.
  virtual std::string ClientCertificate() const = 0;
};

std::unique_ptr<HttpTransport> PlainTransport(int descriptor);
// nullptr: no memory.
std::unique_ptr<HttpTransport> TlsTransport(int descriptor,
                                            const std::shared_ptr<ssl_ctx_st>& context);

// Throws away what has come, whatever it is.
HttpTransport::Result DiscardInput(int descriptor);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_HTTP_TRANSPORT_H_
