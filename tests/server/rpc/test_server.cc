#include "tests/server/rpc/test_server.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

template <typename Detail>
Detail DetailOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), static_cast<int>(status.error_code()));
  EXPECT_EQ(details.message(), status.error_message());
  Detail detail;
  EXPECT_EQ(details.details_size(), 1);
  if (details.details_size() == 1) {
    EXPECT_TRUE(details.details(0).UnpackTo(&detail));
  }
  return detail;
}

}  // namespace

ServedModel TestModel(const std::string& name) {
  CheckpointConfig config;
  config.unet.sample_height = 2;
  config.unet.sample_width = 2;
  config.unet.in_channels = 1;
  config.unet.out_channels = 1;
  config.unet.num_class_embeds = 4;
  config.scheduler.num_train_timesteps = 20;
  config.class_names = {"T-shirt", "Trouser", "Sneaker"};
  config.null_class_id = 3;
  config.generation.emplace();
  config.generation->options["steps"] = int64_t{5};
  config.generation->guidance_scale = 2;
  auto model =
      MakeServedModel(name, config, "d1637e", 1234,
                      {.libtorch_version = "none", .device_kind = "fake", .micro_batch = 4});
  EXPECT_TRUE(model.ok()) << model.status();
  return *std::move(model);
}

void CountingMetrics::OnRequestStarted(const std::string&) {
  absl::MutexLock lock(&mu_);
  ++started_;
}

void CountingMetrics::OnRequestFinished(const std::string& method, const std::string& code,
                                        absl::Duration) {
  absl::MutexLock lock(&mu_);
  finished_.push_back(absl::StrCat(method, " ", code));
}

void CountingMetrics::OnFirstPreview(absl::Duration) {
  absl::MutexLock lock(&mu_);
  ++first_previews_;
}

void CountingMetrics::OnPreviewSent() {
  absl::MutexLock lock(&mu_);
  ++previews_sent_;
}

void CountingMetrics::OnPreviewsDropped(int count) {
  absl::MutexLock lock(&mu_);
  previews_dropped_ += count;
}

void CountingMetrics::OnImageSent(const std::string& format, size_t bytes) {
  EXPECT_GT(bytes, 0u);
  EXPECT_FALSE(format.empty());
  absl::MutexLock lock(&mu_);
  ++images_sent_;
}

void CountingMetrics::OnLogLineLeftOut(const std::string& code) {
  absl::MutexLock lock(&mu_);
  left_out_.push_back(code);
}

std::vector<std::string> CountingMetrics::AwaitLogLinesLeftOut(size_t count) {
  absl::MutexLock lock(&mu_);
  const auto enough = [this, count]()
                          ABSL_SHARED_LOCKS_REQUIRED(mu_) { return left_out_.size() >= count; };
  mu_.Await(absl::Condition(&enough));
  return left_out_;
}

std::vector<std::string> CountingMetrics::finished() {
  absl::MutexLock lock(&mu_);
  return finished_;
}

std::vector<std::string> CountingMetrics::AwaitFinished(size_t count) {
  absl::MutexLock lock(&mu_);
  const auto enough = [this, count]()
                          ABSL_SHARED_LOCKS_REQUIRED(mu_) { return finished_.size() >= count; };
  mu_.Await(absl::Condition(&enough));
  return finished_;
}

void CountingMetrics::AwaitPreviewsDropped(int count) {
  absl::MutexLock lock(&mu_);
  const auto enough = [this, count]()
                          ABSL_SHARED_LOCKS_REQUIRED(mu_) { return previews_dropped_ >= count; };
  mu_.Await(absl::Condition(&enough));
}

void CountingMetrics::OnCallRefused(const std::string& limit) {
  absl::MutexLock lock(&mu_);
  calls_refused_.push_back(limit);
}

void CountingMetrics::OnConnectionEvicted() {
  absl::MutexLock lock(&mu_);
  ++evicted_;
}

void CountingMetrics::OnMethodServed(const std::string& method) {
  absl::MutexLock lock(&mu_);
  served_.push_back(method);
}

std::vector<std::string> CountingMetrics::calls_refused() {
  absl::MutexLock lock(&mu_);
  return calls_refused_;
}

int CountingMetrics::evicted() {
  absl::MutexLock lock(&mu_);
  return evicted_;
}

std::vector<std::string> CountingMetrics::served() {
  absl::MutexLock lock(&mu_);
  return served_;
}

int CountingMetrics::started() {
  absl::MutexLock lock(&mu_);
  return started_;
}

int CountingMetrics::first_previews() {
  absl::MutexLock lock(&mu_);
  return first_previews_;
}

int CountingMetrics::previews_sent() {
  absl::MutexLock lock(&mu_);
  return previews_sent_;
}

int CountingMetrics::previews_dropped() {
  absl::MutexLock lock(&mu_);
  return previews_dropped_;
}

int CountingMetrics::images_sent() {
  absl::MutexLock lock(&mu_);
  return images_sent_;
}

// Lends a puppet to a worker.
class ExecutorRegister::Registered : public StepExecutor {
 public:
  Registered(std::shared_ptr<ExecutorRegister> all, std::shared_ptr<PuppetExecutor> puppet)
      : all_(std::move(all)), puppet_(std::move(puppet)) {}
  ~Registered() override {
    absl::MutexLock lock(&all_->mu_);
    ++all_->gone_;
  }
  int capacity() const override { return puppet_->capacity(); }
  int micro_batch() const override { return puppet_->micro_batch(); }
  absl::Status Step(absl::Span<StepTask> tasks) override { return puppet_->Step(tasks); }

 private:
  const std::shared_ptr<ExecutorRegister> all_;
  const std::shared_ptr<PuppetExecutor> puppet_;
};

std::unique_ptr<StepExecutor> ExecutorRegister::Make(std::shared_ptr<ExecutorRegister> all,
                                                     const FakeExecutor::Options& options,
                                                     bool puppet) {
  auto made = std::make_shared<PuppetExecutor>(options);
  {
    absl::MutexLock lock(&all->mu_);
    if (!puppet || all->released_) made->ReleaseAll();
    all->made_.push_back(made);
  }
  return std::make_unique<Registered>(std::move(all), std::move(made));
}

std::shared_ptr<PuppetExecutor> ExecutorRegister::newest() {
  absl::MutexLock lock(&mu_);
  return made_.back();
}

void ExecutorRegister::ReleaseAll() {
  absl::MutexLock lock(&mu_);
  released_ = true;
  for (const auto& puppet : made_) puppet->ReleaseAll();
}

void ExecutorRegister::AwaitMade(size_t count) {
  absl::MutexLock lock(&mu_);
  const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return made_.size() >= count; };
  mu_.Await(absl::Condition(&enough));
}

void ExecutorRegister::AwaitLeft(size_t count) {
  absl::MutexLock lock(&mu_);
  const auto few = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return made_.size() - gone_ <= count; };
  mu_.Await(absl::Condition(&few));
}

TestServer::TestServer(Options options) : options_(std::move(options)) {
  engine_ = *Engine::Create(options_.engine);
  for (const ServedModel& model : options_.models) catalog_.Put(model);
  Server::Options server = options_.server;
  server.log = [this](const LogRecord& record) {
    const std::string line = record.Text();
    absl::MutexLock lock(&log_mu_);
    log_.push_back(line);
  };
  server_ = *Server::Start(server, engine_.get(), &catalog_, &metrics_);
  if (options_.worker && !options_.models.empty()) StartWorkers();
  stub_ = v1::DiffusionService::NewStub(server_->InProcessChannel());
}

StepExecutors TestServer::Build() const {
  StepExecutors executors;
  for (const ServedModel& model : options_.models) {
    executors[model.name] =
        options_.make_executor
            ? options_.make_executor(model)
            : ExecutorRegister::Make(executors_, options_.executor, options_.puppet);
  }
  return executors;
}

void TestServer::StartWorkers() {
  if (!options_.supervisor.has_value()) {
    worker_ = *DeviceWorker::Start("fake:0", engine_.get(), Build(), {});
    server_->SetWorkersRunning(true);
    return;
  }
  WorkerSupervisor::Options supervisor = *options_.supervisor;
  supervisor.observer = this;
  supervisor_ = *WorkerSupervisor::Start(engine_.get(), CpuDevices(options_.supervised_workers),
                                         &source_, std::move(supervisor));
}

TestServer::~TestServer() {
  executors_->ReleaseAll();
  stub_.reset();
  if (supervisor_ != nullptr) {
    engine_->Shutdown();
    supervisor_.reset();  // Tells the server of workers until here.
  }
  server_.reset();
  engine_->Shutdown();
  worker_.reset();
  executors_->AwaitLeft(0);
}

std::vector<std::string> TestServer::log() {
  absl::MutexLock lock(&log_mu_);
  return log_;
}

std::vector<std::string> TestServer::AwaitLog(size_t count) {
  absl::MutexLock lock(&log_mu_);
  const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(log_mu_) { return log_.size() >= count; };
  log_mu_.Await(absl::Condition(&enough));
  return log_;
}

std::vector<v1::GenerateEvent> TestServer::Generate(const v1::GenerateRequest& request,
                                                    grpc::Status* status) {
  grpc::ClientContext context;
  const auto reader = stub_->Generate(&context, request);
  std::vector<v1::GenerateEvent> events;
  v1::GenerateEvent event;
  while (reader->Read(&event)) events.push_back(std::move(event));
  const grpc::Status end = reader->Finish();
  if (status != nullptr) {
    *status = end;
  } else {
    EXPECT_TRUE(end.ok()) << end.error_message();
  }
  return events;
}

grpc::Status TestServer::GenerateImages(const v1::GenerateRequest& request,
                                        v1::GenerateImagesResponse* response) {
  grpc::ClientContext context;
  return stub_->GenerateImages(&context, request, response);
}

google::rpc::BadRequest BadRequestOf(const grpc::Status& status) {
  return DetailOf<google::rpc::BadRequest>(status);
}

google::rpc::RetryInfo RetryInfoOf(const grpc::Status& status) {
  return DetailOf<google::rpc::RetryInfo>(status);
}

std::vector<v1::Image> ImagesOf(const std::vector<v1::GenerateEvent>& events) {
  std::map<uint32_t, v1::Image> by_index;
  for (const v1::GenerateEvent& event : events) {
    if (event.has_image()) by_index[event.image().image_index()] = event.image();
  }
  std::vector<v1::Image> images;
  for (auto& [index, image] : by_index) images.push_back(std::move(image));
  return images;
}

}  // namespace diffusiond
