// The real server over a fake device, in this process.
#ifndef DIFFUSIOND_TESTS_SERVER_RPC_TEST_SERVER_H_
#define DIFFUSIOND_TESTS_SERVER_RPC_TEST_SERVER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "diffusiond/v1/diffusion.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "grpcpp/client_context.h"
#include "server/engine/engine.h"
#include "server/models/model_catalog.h"
#include "server/rpc/server.h"
#include "server/worker/device_worker.h"
#include "server/worker/worker_supervisor.h"
#include "tests/testing/executor_builder.h"
#include "tests/testing/puppet_executor.h"

namespace diffusiond {

// Class-conditional, 2 x 2 grey, 20 training timesteps; "T-shirt", "Trouser", "Sneaker" and the
// null class 3. Defaults: ddim, 5 steps, guidance 2.
ServedModel TestModel(const std::string& name = "clothes");

// Counts what the server reports. Thread-safe.
class CountingMetrics : public RpcMetrics {
 public:
  void OnRequestStarted(const std::string& method) override;
  void OnRequestFinished(const std::string& method, const std::string& code,
                         absl::Duration duration) override;
  void OnFirstPreview(absl::Duration wait) override;
  void OnPreviewSent() override;
  void OnPreviewsDropped(int count) override;
  void OnImageSent(const std::string& format, size_t bytes) override;
  void OnLogLineLeftOut(const std::string& code) override;
  void OnCallRefused(const std::string& limit) override;
  void OnConnectionEvicted() override;
  void OnMethodServed(const std::string& method) override;

  // "Generate OK", ... in order of their ends; the second waits until there are that many.
  std::vector<std::string> finished();
  std::vector<std::string> AwaitFinished(size_t count);
  void AwaitPreviewsDropped(int count);
  // Their codes, as soon as there are that many.
  std::vector<std::string> AwaitLogLinesLeftOut(size_t count);
  std::vector<std::string> calls_refused();  // Their limits.
  int evicted();
  std::vector<std::string> served();
  int started();
  int first_previews();
  int previews_sent();
  int previews_dropped();
  int images_sent();

 private:
  absl::Mutex mu_;
  std::vector<std::string> finished_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> left_out_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> calls_refused_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> served_ ABSL_GUARDED_BY(mu_);
  int evicted_ ABSL_GUARDED_BY(mu_) = 0;
  int started_ ABSL_GUARDED_BY(mu_) = 0;
  int first_previews_ ABSL_GUARDED_BY(mu_) = 0;
  int previews_sent_ ABSL_GUARDED_BY(mu_) = 0;
  int previews_dropped_ ABSL_GUARDED_BY(mu_) = 0;
  int images_sent_ ABSL_GUARDED_BY(mu_) = 0;
};

// The executors that a server was given, those of workers that were given up included.
// Thread-safe.
class ExecutorRegister {
 public:
  // Makes one whose end is noticed here.
  static std::unique_ptr<StepExecutor> Make(std::shared_ptr<ExecutorRegister> all,
                                            const FakeExecutor::Options& options, bool puppet);

  std::shared_ptr<PuppetExecutor> newest();
  // Lets every step of every executor go on, of those made later too.
  void ReleaseAll();
  // Waits until so many were made.
  void AwaitMade(size_t count);
  // Waits until at most so many are left; what they held is gone by then.
  void AwaitLeft(size_t count);

 private:
  class Registered;

  absl::Mutex mu_;
  std::vector<std::shared_ptr<PuppetExecutor>> made_ ABSL_GUARDED_BY(mu_);
  size_t gone_ ABSL_GUARDED_BY(mu_) = 0;
  bool released_ ABSL_GUARDED_BY(mu_) = false;
};

// Thread-compatible.
class TestServer : private WorkerObserver {
 public:
  struct Options {
    Engine::Options engine;
    Server::Options server;  // Without an address unless one is given.
    FakeExecutor::Options executor;
    // Set: makes what runs a model, in place of fakes.
    std::function<std::unique_ptr<StepExecutor>(const ServedModel&)> make_executor;
    bool puppet = false;  // The device moves only when executor() lets it.
    bool worker = true;
    // Set: so many workers run under a supervisor with these options, and the server hears of them.
    std::optional<WorkerSupervisor::Options> supervisor;
    int supervised_workers = 1;
    std::vector<ServedModel> models = {TestModel()};
    Options() { server.listen_address = ""; }
  };

  explicit TestServer(Options options);
  TestServer() : TestServer(Options()) {}
  ~TestServer() override;

  Server& server() { return *server_; }
  Engine& engine() { return *engine_; }
  ModelCatalog& catalog() { return catalog_; }
  CountingMetrics& metrics() { return metrics_; }
  // The newest; a worker that is built again has a new one.
  PuppetExecutor& executor() { return *executors_->newest(); }
  ExecutorRegister& executors() { return *executors_; }
  WorkerSupervisor& supervisor() { return *supervisor_; }
  v1::DiffusionService::Stub& stub() { return *stub_; }
  // Log lines so far; the second waits until there are that many.
  std::vector<std::string> log();
  std::vector<std::string> AwaitLog(size_t count);

  // Reads a stream to its end.
  std::vector<v1::GenerateEvent> Generate(const v1::GenerateRequest& request,
                                          grpc::Status* status = nullptr);
  grpc::Status GenerateImages(const v1::GenerateRequest& request,
                              v1::GenerateImagesResponse* response);

 private:
  void OnWorkersRunning(int running) override { server_->SetWorkersRunning(running > 0); }
  StepExecutors Build() const;
  void StartWorkers();

  const Options options_;
  CountingMetrics metrics_;
  ModelCatalog catalog_;
  std::unique_ptr<Engine> engine_;
  const std::shared_ptr<ExecutorRegister> executors_ = std::make_shared<ExecutorRegister>();
  std::unique_ptr<DeviceWorker> worker_;
  ExecutorBuilder source_{[this](const DeviceSpec&) { return Build(); }};
  std::unique_ptr<WorkerSupervisor> supervisor_;
  absl::Mutex log_mu_;
  std::vector<std::string> log_ ABSL_GUARDED_BY(log_mu_);
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::DiffusionService::Stub> stub_;
};

// The only detail of that type in a status; a test failure if there is none.
google::rpc::BadRequest BadRequestOf(const grpc::Status& status);
google::rpc::RetryInfo RetryInfoOf(const grpc::Status& status);

// The images of a stream's events, by index.
std::vector<v1::Image> ImagesOf(const std::vector<v1::GenerateEvent>& events);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SERVER_RPC_TEST_SERVER_H_
