// The C++ client of diffusiond. Link diffusiond_client; neither LibTorch nor the server is needed.
//
//   absl::StatusOr<std::unique_ptr<DiffusionClient>> client =
//       DiffusionClient::Connect("127.0.0.1:50051", {});
//   if (!client.ok()) return client.status();
//   v1::GenerateRequest request;
//   request.set_class_name("sneaker");
//   request.mutable_preview()->set_every_steps(5);
//   GenerateCallbacks callbacks;
//   callbacks.on_preview = [](const v1::Preview& preview) { Show(preview.data()); };
//   callbacks.on_image = [](const v1::Image& image) { Save(image.data()); };
//   absl::StatusOr<v1::Completed> completed =
//       (*client)->Generate(request, callbacks, {.timeout = absl::Minutes(2)});
//
// What fields mean, their ranges and the order of events: proto/diffusiond/v1/diffusion.proto.
#ifndef DIFFUSIOND_CLIENT_DIFFUSION_CLIENT_H_
#define DIFFUSIOND_CLIENT_DIFFUSION_CLIENT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cancellation.h"
#include "diffusiond/v1/diffusion.grpc.pb.h"
#include "grpcpp/channel.h"
#include "grpcpp/security/credentials.h"

namespace diffusiond {

// How a client reaches its server.
struct ClientOptions {
  // MakeTlsCredentials (client/secure_channel.h), or of your own making. Null: plaintext, no TLS.
  std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr;
  // The largest answer taken; a GenerateImages answer holds all its images.
  int max_message_bytes = 256 << 20;
  // Clients of one target in one process share a connection unless they ask for their own.
  bool own_connection = false;
  // While a call runs the server is pinged so often (at least 10 s, or it hangs up), and after so
  // long without an answer the call ends with UNAVAILABLE: a server that is stopped, or a network
  // that is gone, tells nobody.
  absl::Duration ping_interval = absl::Seconds(20);
  absl::Duration ping_timeout = absl::Seconds(20);
};

// For one call.
struct CallOptions {
  // Then the call ends with DEADLINE_EXCEEDED, here and on the server. More than 0.
  absl::Duration timeout = absl::InfiniteDuration();
  // Ends the call with CANCELLED when thrown. Not owned; null: the call cannot be cancelled.
  const Cancellation* cancellation = nullptr;
  // Sent as metadata "diffusiond-tenant", see CheckTenant; empty: the server goes by the address.
  std::string tenant = {};
};

// The longest CallOptions::tenant.
inline constexpr size_t kMaxTenantBytes = 128;

// Whether metadata carries it: printable ASCII, or nothing. INVALID_ARGUMENT: "tenant is 'x', ...".
absl::Status CheckTenant(const std::string& tenant);

// What Generate reports while it runs: on the caller's thread, one at a time, in the stream's
// order. Each may be empty. The arguments live until the callback returns.
struct GenerateCallbacks {
  std::function<void(const v1::Accepted&)> on_accepted = nullptr;
  std::function<void(const v1::Progress&)> on_progress = nullptr;
  std::function<void(const v1::Preview&)> on_preview = nullptr;
  std::function<void(const v1::Image&)> on_image = nullptr;  // SHA-256 already verified.
};

// A connection to one server, with the methods of diffusiond.v1.DiffusionService.
//
// Errors of every method: the server's code and message (client/rpc_error.h says how its details
// appear in the text and how to get at them); UNAVAILABLE with IsUnreachable() when there is no
// server; DATA_LOSS when an image's bytes do not have the announced SHA-256; INTERNAL when the
// server breaks the documented order of events, for example by ending a stream without Completed.
//
// Thread-safe but for destruction; calls block, and any number may run at once.
class DiffusionClient {
 public:
  // `target` as gRPC takes it: "host:port", "unix:/path", "dns:///name:port". Does not wait:
  // whether a server is there shows at the first call. INVALID_ARGUMENT: empty target.
  static absl::StatusOr<std::unique_ptr<DiffusionClient>> Connect(const std::string& target,
                                                                  const ClientOptions& options);

  // Over a channel of your own making; `target` names it in messages.
  DiffusionClient(std::shared_ptr<grpc::Channel> channel, std::string target);

  // Draws images and reports while it does. Returns receipt and timings; images come by callback
  // only. After an error no more callbacks come.
  absl::StatusOr<v1::Completed> Generate(const v1::GenerateRequest& request,
                                         const GenerateCallbacks& callbacks,
                                         const CallOptions& options = {}) const;

  // The same in one answer; request.preview must be unset.
  absl::StatusOr<v1::GenerateImagesResponse> GenerateImages(const v1::GenerateRequest& request,
                                                            const CallOptions& options = {}) const;

  absl::StatusOr<v1::ListModelsResponse> ListModels(const CallOptions& options = {}) const;

  // Empty name: the server's default model.
  absl::StatusOr<v1::Model> GetModel(const std::string& name,
                                     const CallOptions& options = {}) const;

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  const std::string& target() const { return target_; }

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  const std::string target_;
  const std::unique_ptr<v1::DiffusionService::Stub> stub_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_DIFFUSION_CLIENT_H_
