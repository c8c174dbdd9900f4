// What the RPC layer counts.
#ifndef DIFFUSIOND_SERVER_RPC_RPC_METRICS_H_
#define DIFFUSIOND_SERVER_RPC_RPC_METRICS_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/connections/listener.h"

namespace diffusiond {

// Calls come from any thread, also at the same time; they must not block.
class RpcMetrics : public ConnectionMetrics {
 public:
  // Calls of this method may come, from now on.
  virtual void OnMethodServed(const std::string& /*method*/) {}
  // `method` as in the proto, "Generate", or a route, "POST /v1/generate"; `code` as gRPC spells
  // it, "OK", "INVALID_ARGUMENT".
  virtual void OnRequestStarted(const std::string& /*method*/) {}
  virtual void OnRequestFinished(const std::string& /*method*/, const std::string& /*code*/,
                                 absl::Duration /*duration*/) {}
  // Before the engine was asked; `status` is a Refusal.
  virtual void OnRefused(const absl::Status& /*status*/) {}
  // Since the request arrived.
  virtual void OnFirstPreview(absl::Duration /*wait*/) {}
  virtual void OnPreviewSent() {}
  // Replaced by newer ones because the reader or the encoders were too slow.
  virtual void OnPreviewsDropped(int /*count*/) {}
  // `format` as in flags, "png".
  virtual void OnImageSent(const std::string& /*format*/, size_t /*bytes*/) {}
  // CallLog left out a line; `code` as above, or "gRPC" for a line of that library.
  virtual void OnLogLineLeftOut(const std::string& /*code*/) {}
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_RPC_METRICS_H_
