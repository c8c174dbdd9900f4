// The instruments of certificates and of the access file.
#ifndef DIFFUSIOND_SERVER_METRICS_ACCESS_INSTRUMENTS_H_
#define DIFFUSIOND_SERVER_METRICS_ACCESS_INSTRUMENTS_H_

#include <string>

#include "absl/time/time.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/registry.h"
#include "server/access/access_metrics.h"

namespace diffusiond {

// As ServerMetrics, in a class of its own because the rest of the server knows nothing of it.
// Thread-safe; no method blocks.
class AccessInstruments final : public AccessMetrics {
 public:
  // `registry` must outlive this.
  explicit AccessInstruments(prometheus::Registry* registry);

  void OnFilesTaken(const std::string& files) override;
  void OnFilesRefused(const std::string& files) override;
  void OnCertificateExpiry(absl::Time expiry) override;
  void OnAccessRefused(const std::string& code) override;

 private:
  prometheus::Family<prometheus::Counter>& reloads_;
  prometheus::Family<prometheus::Gauge>& stale_;
  prometheus::Family<prometheus::Counter>& refusals_;
  prometheus::Gauge& expiry_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_METRICS_ACCESS_INSTRUMENTS_H_
