// What the RPC layer counts, into the server's instruments.
#ifndef DIFFUSIOND_SERVER_COUNTED_RPC_H_
#define DIFFUSIOND_SERVER_COUNTED_RPC_H_

#include <string>

#include "server/metrics/server_metrics.h"
#include "server/rpc/rpc_metrics.h"

namespace diffusiond {

// Thread-safe. Neither of server/rpc and server/metrics knows the other.
class CountedRpc final : public RpcMetrics {
 public:
  // Not owned.
  explicit CountedRpc(ServerMetrics* metrics) : metrics_(metrics) {}

  void OnMethodServed(const std::string& method) override { metrics_->MethodServed(method); }
  void OnRequestStarted(const std::string& method) override { metrics_->RequestStarted(method); }
  void OnRequestFinished(const std::string& method, const std::string& code,
                         absl::Duration duration) override {
    metrics_->RequestFinished(method, code, duration);
  }
  void OnRefused(const absl::Status& status) override { metrics_->OnRefused(status); }
  void OnFirstPreview(absl::Duration wait) override { metrics_->FirstPreview(wait); }
  void OnPreviewSent() override { metrics_->PreviewSent(); }
  void OnPreviewsDropped(int count) override { metrics_->PreviewsDropped(count); }
  void OnImageSent(const std::string& format, size_t bytes) override {
    metrics_->ImageSent(format, bytes);
  }
  void OnOpenConnections(int open, int calls) override { metrics_->OpenConnections(open, calls); }
  void OnConnectionEvicted() override { metrics_->ConnectionEvicted(); }
  void OnCallRefused(const std::string& limit) override { metrics_->CallRefused(limit); }
  void OnConnectionRefused(const std::string& limit) override {
    metrics_->ConnectionRefused(limit);
  }
  void OnLogLineLeftOut(const std::string& code) override { metrics_->LogLineLeftOut(code); }

 private:
  ServerMetrics* const metrics_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_COUNTED_RPC_H_
