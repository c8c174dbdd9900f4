// What is counted of certificates, of the access file, and of who was refused by them.
#ifndef DIFFUSIOND_SERVER_ACCESS_ACCESS_METRICS_H_
#define DIFFUSIOND_SERVER_ACCESS_ACCESS_METRICS_H_

#include <string>

#include "absl/time/time.h"

namespace diffusiond {

// Calls come from any thread, also at the same time; they must not block. `files`: "tls" or
// "access".
class AccessMetrics {
 public:
  virtual ~AccessMetrics() = default;
  // New files are in use, or those in use are on disk again.
  virtual void OnFilesTaken(const std::string& /*files*/) {}
  // What is on disk cannot be used; what was read before is.
  virtual void OnFilesRefused(const std::string& /*files*/) {}
  // Of the server's own certificate, whenever there is another.
  virtual void OnCertificateExpiry(absl::Time /*expiry*/) {}
  // A call was refused, mostly before any service saw it. `code`: "UNAUTHENTICATED" or
  // "PERMISSION_DENIED".
  virtual void OnAccessRefused(const std::string& /*code*/) {}
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ACCESS_ACCESS_METRICS_H_
