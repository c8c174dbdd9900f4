#include "tests/server/versions/version_stage.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "model/checkpoint/model_versions.h"
#include "model/checkpoint/publish_version.h"
#include "tests/model/checkpoint/small_checkpoint.h"
#include "tests/testing/executor_builder.h"
#include "tests/testing/stepped_engine.h"
#include "tests/testing/test_plans.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

constexpr char kWeights[] = "unet/diffusion_pytorch_model.safetensors";
constexpr int kDevices = 2;

// As the RPC layer's generations do, holds the model that it runs on until it is finished.
class HoldingListener : public GenerationListener {
 public:
  HoldingListener(std::shared_ptr<RecordingListener> listener, ModelCatalog::Model model)
      : listener_(std::move(listener)), model_(std::move(model)) {}
  void OnProgress(const StepProgress& progress) override { listener_->OnProgress(progress); }
  void OnPreview(int image_index, int steps_done, double timestep, PreviewContent kind,
                 Frame frame) override {
    listener_->OnPreview(image_index, steps_done, timestep, kind, std::move(frame));
  }
  void OnImage(int image_index, Frame frame) override {
    listener_->OnImage(image_index, std::move(frame));
  }
  void OnFinished(absl::Status status, GenerationTimings timings) override {
    listener_->OnFinished(std::move(status), timings);
  }

 private:
  const std::shared_ptr<RecordingListener> listener_;
  const ModelCatalog::Model model_;
};

}  // namespace

// Counts its life and its steps under its version.
class VersionStage::Executor : public StepExecutor {
 public:
  Executor(std::shared_ptr<Watch> watch, int version)
      : watch_(std::move(watch)), version_(version) {
    absl::MutexLock lock(&watch_->mu);
    ++watch_->alive[version_];
  }
  ~Executor() override {
    absl::MutexLock lock(&watch_->mu);
    --watch_->alive[version_];
  }
  int capacity() const override { return fake_.capacity(); }
  int micro_batch() const override { return fake_.micro_batch(); }
  absl::Status Step(absl::Span<StepTask> tasks) override {
    {
      absl::MutexLock lock(&watch_->mu);
      ++watch_->steps[version_];
      watch_->mu.Await(absl::Condition(&watch_->free));
      if (std::exchange(watch_->fail, false)) return absl::InternalError("the device failed");
    }
    return fake_.Step(tasks);
  }

 private:
  const std::shared_ptr<Watch> watch_;
  const int version_;
  FakeExecutor fake_;
};

absl::StatusOr<LoadedModel> VersionStage::Load(const std::shared_ptr<Watch>& watch,
                                               const fs::path& path,
                                               absl::Span<const DeviceSpec> devices,
                                               int micro_batch) {
  {
    absl::MutexLock lock(&watch->mu);
    ++watch->loads;
    if (!watch->load_status.ok()) return watch->load_status;
  }
  absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(path);
  if (!checkpoint.ok()) return checkpoint.status();
  LoadedModel model;
  model.config = checkpoint->config();
  model.digest = checkpoint->digest();
  model.micro_batch = micro_batch == 0 ? 4 : micro_batch;
  const int version = ParseVersion(path.filename().string()).value_or(0);
  model.rebuild = [watch, version](const DeviceSpec&) -> std::unique_ptr<StepExecutor> {
    return std::make_unique<Executor>(watch, version);
  };
  for (const DeviceSpec& device : devices) {
    model.executors.push_back(*model.rebuild(device));
  }
  return model;
}

VersionStage::VersionStage() {
  Engine::Options options;
  engine_ = Engine::Create(options).value();
}

VersionStage::~VersionStage() {
  Release();
  if (manager_ != nullptr) manager_->Stop();
  engine_->Shutdown();
  supervisor_.reset();
}

fs::path VersionStage::version(int number) const { return model() / absl::StrCat(number); }

void VersionStage::Publish(const std::string& name) {
  const fs::path source = scratch_ / "source";
  const OwnedTensors tensors = SmallTensors(next_value_++);
  ASSERT_TRUE(SaveCheckpoint(source, SmallConfig(), tensors.views()).ok());
  const auto published =
      PublishVersion(repository_, source, {.name = name, .keep = 0, .training = ""});
  ASSERT_TRUE(published.ok()) << published.status();
}

void VersionStage::Break(int number) {
  const fs::path weights = version(number) / kWeights;
  whole_weights_[number] = ReadWholeFile(weights);
  fs::resize_file(weights, 40);
}

void VersionStage::Mend(int number) {
  WriteWholeFile(version(number) / kWeights, whole_weights_.at(number));
}

absl::Status VersionStage::Start(int keep_versions) {
  VersionManager::Options options;
  options.repository = repository_;
  options.loader.devices = CpuDevices(kDevices);
  options.poll_interval = absl::Hours(1);  // Tests say when.
  options.keep_versions = keep_versions;
  options.loader.load = [watch = watch_](const fs::path& path, absl::Span<const DeviceSpec> devices,
                                         int micro_batch) {
    return Load(watch, path, devices, micro_batch);
  };
  options.now = [watch = watch_] {
    absl::MutexLock lock(&watch->mu);
    return watch->now;
  };
  options.log = [watch = watch_](const LogRecord& record) {
    const std::string line = record.Text();
    absl::MutexLock lock(&watch->mu);
    watch->log.push_back(line);
  };
  WorkerSupervisor::Options supervision;
  supervision.watchdog = absl::Minutes(1);
  supervision.first_backoff = absl::Milliseconds(1);
  supervisor_ = WorkerSupervisor::Start(engine_.get(), options.loader.devices, &loaded_,
                                        std::move(supervision))
                    .value();
  manager_ = std::make_unique<VersionManager>(options,
                                              VersionManager::Parts{.loaded = &loaded_,
                                                                    .supervisor = supervisor_.get(),
                                                                    .engine = engine_.get(),
                                                                    .catalog = &catalog_,
                                                                    .metrics = &metrics_});
  absl::Status looked = manager_->LoadAll();
  manager_->Start();
  return looked;
}

int VersionStage::serving() {
  const auto model = catalog_.Find("mine");
  return model.ok() ? (*model)->version : -1;
}

std::vector<std::string> VersionStage::States() {
  static constexpr const char* kNames[] = {"on disk", "serving", "kept", "draining", "refused"};
  std::vector<std::string> states;
  const auto models = manager_->ListModelVersions("mine");
  EXPECT_TRUE(models.ok()) << models.status();
  if (!models.ok()) return states;
  for (const VersionInfo& info : models->front().versions) {
    states.push_back(absl::StrCat(info.version, " ", kNames[static_cast<int>(info.state)]));
  }
  return states;
}

VersionStage::Request VersionStage::Submit(const std::string& digest) {
  Request request;
  request.listener = std::make_shared<RecordingListener>();
  absl::StatusOr<ModelCatalog::Model> model = catalog_.Find("mine", digest);
  EXPECT_TRUE(model.ok()) << model.status();
  if (!model.ok()) return request;
  request.version = (*model)->version;
  request.key = (*model)->engine_key();
  GenerationSpec spec = Images(1, 7, HalvingPlan(3));
  spec.model = request.key;
  const auto id =
      engine_->Submit(std::move(spec), std::make_shared<HoldingListener>(request.listener, *model));
  EXPECT_TRUE(id.ok()) << id.status();
  return request;
}

void VersionStage::Release() {
  absl::MutexLock lock(&watch_->mu);
  watch_->free = true;
}

void VersionStage::AwaitStep(int version) {
  absl::MutexLock lock(&watch_->mu);
  const auto begun = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(watch_->mu) {
    return watch_->steps[version] > 0;
  };
  watch_->mu.Await(absl::Condition(&begun));
}

void VersionStage::FailNextStep() {
  absl::MutexLock lock(&watch_->mu);
  watch_->fail = true;
}

std::optional<double> VersionStage::Metric(const std::string& name, const std::string& model) {
  for (const prometheus::MetricFamily& family : registry_->Collect()) {
    if (family.name != name) continue;
    for (const prometheus::ClientMetric& metric : family.metric) {
      for (const auto& label : metric.label) {
        if (label.name != "model" || label.value != model) continue;
        return family.type == prometheus::MetricType::Gauge ? metric.gauge.value
                                                            : metric.counter.value;
      }
    }
  }
  return std::nullopt;
}

void VersionStage::FailLoads(const absl::Status& status) {
  absl::MutexLock lock(&watch_->mu);
  watch_->load_status = status;
}

void VersionStage::Advance(absl::Duration duration) {
  absl::MutexLock lock(&watch_->mu);
  watch_->now += duration;
}

int VersionStage::loads() const {
  absl::MutexLock lock(&watch_->mu);
  return watch_->loads;
}

int VersionStage::executors_alive(int version) {
  absl::MutexLock lock(&watch_->mu);
  return watch_->alive[version];
}

void VersionStage::AwaitExecutorsAlive(int version, int count) {
  absl::MutexLock lock(&watch_->mu);
  const auto reached = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(watch_->mu) {
    return watch_->alive[version] == count;
  };
  watch_->mu.Await(absl::Condition(&reached));
}

int VersionStage::Logged(const std::string& text) {
  absl::MutexLock lock(&watch_->mu);
  return static_cast<int>(std::count_if(
      watch_->log.begin(), watch_->log.end(),
      [&text](const std::string& line) { return line.find(text) != std::string::npos; }));
}

void VersionStage::AwaitLogged(const std::string& text, int count) {
  absl::MutexLock lock(&watch_->mu);
  const auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(watch_->mu) {
    return std::count_if(watch_->log.begin(), watch_->log.end(), [&text](const std::string& line) {
             return line.find(text) != std::string::npos;
           }) >= count;
  };
  watch_->mu.Await(absl::Condition(&there));
}

}  // namespace diffusiond
