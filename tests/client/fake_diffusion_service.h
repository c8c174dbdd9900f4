// A DiffusionService that plays back what a test wrote, on a real gRPC server on loopback.
#ifndef DIFFUSIOND_TESTS_CLIENT_FAKE_DIFFUSION_SERVICE_H_
#define DIFFUSIOND_TESTS_CLIENT_FAKE_DIFFUSION_SERVICE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "diffusiond/v1/diffusion.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/server.h"

namespace diffusiond {

// What the server answers, whatever it is asked. To be set before the call.
struct FakeAnswers {
  std::vector<v1::GenerateEvent> events = {};
  // In place of `events`, by what is asked for; empty: none.
  std::function<std::vector<v1::GenerateEvent>(const v1::GenerateRequest&)> events_for = nullptr;
  grpc::Status status = grpc::Status::OK;  // Ends Generate and GenerateImages.
  // In place of `status`, of Generate, by what is asked for; empty: none.
  std::function<grpc::Status(const v1::GenerateRequest&)> status_for = nullptr;
  bool wait_for_cancel = false;  // After the events: until the client cancels.
  // Generate: nothing is answered until so many calls are there at once.
  size_t hold_until_calls = 0;
  std::vector<std::pair<std::string, std::string>> trailers = {};  // Of Generate.
  std::function<void()> on_generate = nullptr;  // As a Generate call comes, on its thread.
  v1::GenerateImagesResponse images = {};
  std::vector<v1::Model> models = {};  // GetModel: by name; the first for no name.
  // Of every service but "liveness", which serves.
  grpc::health::v1::HealthCheckResponse::ServingStatus health =
      grpc::health::v1::HealthCheckResponse::SERVING;
  int checks_before_health = 0;  // So many health checks say NOT_SERVING first.
};

// A Generate call as it came.
struct FakeCall {
  v1::GenerateRequest request;
  std::string peer;     // Of one connection, one.
  std::string tenant;   // Metadata "diffusiond-tenant".
  absl::Time deadline;  // Infinite: none.
};

// Thread-safe; listens from construction to destruction.
class FakeDiffusionServer {
 public:
  explicit FakeDiffusionServer(FakeAnswers answers);
  ~FakeDiffusionServer();

  std::string target() const;  // "127.0.0.1:PORT".

  // The last request of Generate or GenerateImages.
  std::optional<v1::GenerateRequest> last_request() const;
  // Of Generate, in the order in which they came.
  std::vector<FakeCall> calls() const;
  // A Generate call ended by the client's cancellation.
  bool saw_cancel() const;

 private:
  class Service;
  class HealthService;
  std::unique_ptr<Service> service_;
  std::unique_ptr<HealthService> health_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// A small model "tiny" with classes "dot" and "T-shirt/top", and samplers ddpm and ddim.
v1::Model TinyModel();

// A stream as the API documents it: `count` grey PNG images of 4x4 pixels in `steps` steps, with
// previews of both kinds after every step. Images from `first` on.
std::vector<v1::GenerateEvent> TinyStream(uint32_t count, uint32_t steps, uint32_t first = 0);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_CLIENT_FAKE_DIFFUSION_SERVICE_H_
