// How a client of HTTP is told of its generation while it is drawn.
#ifndef DIFFUSIOND_SERVER_HTTP_EVENT_WRITER_H_
#define DIFFUSIOND_SERVER_HTTP_EVENT_WRITER_H_

#include <string>

#include "absl/status/status.h"
#include "diffusiond/v1/diffusion.pb.h"

namespace diffusiond {

// Server-sent events of one generation. Thread-compatible.
class EventWriter {
 public:
  virtual ~EventWriter() = default;

  // Empty: nothing is told of it.
  virtual std::string Piece(v1::GenerateEvent event) = 0;
  // Why a stream that has begun ends without its last event.
  virtual std::string ErrorPiece(const absl::Status& status) = 0;
};

// A server-sent event (HTML, 9.2.6); `data` is one line.
std::string ServerSentEvent(const std::string& name, const std::string& data);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_EVENT_WRITER_H_
