// From a directory on disk to images, for every kind of model that there is.
#include "server/worker/model_loader.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/model_index_json.h"
#include "model/checkpoint/scheduler_config_json.h"
#include "model/cpu_network/cpu_unet.h"
#include "model/sampling/denoiser.h"
#include "model/sampling/sampler.h"
#include "model/unet/unet_checkpoint.h"
#include "tests/model/checkpoint/golden_directory.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(CheckDevicesTest, SaysWhichDevicesThereAre) {
  if (torch::cuda::is_available()) GTEST_SKIP() << "of a machine without a GPU";
  const absl::Status status = CheckDevices({{.kind = DeviceKind::kCuda, .index = 1}});
  EXPECT_EQ(status.message(),
            "cuda:1 is not there: there is no CUDA device, or this build has no CUDA; cpu is");
}

// A shipped golden checkpoint under another scheduler.
fs::path CheckpointWith(const std::string& network, const SchedulerConfig& scheduler) {
  const fs::path directory =
      fs::path(testing::TempDir()) / (network + "_" + scheduler.class_name + "_" +
                                      scheduler.prediction_type + "_" + scheduler.variance_type);
  fs::remove_all(directory);
  fs::copy(ShippedGoldenDirectory() / "unet" / network, directory, fs::copy_options::recursive);
  std::ofstream(directory / "scheduler" / "scheduler_config.json")
      << FormatSchedulerConfig(scheduler).value();
  ModelIndex index;
  index.scheduler_class = scheduler.class_name;
  std::ofstream(directory / "model_index.json") << FormatModelIndex(index).value();
  return directory;
}

struct Kind {
  const char* name;
  const char* network;
  SchedulerConfig scheduler;
};

std::ostream& operator<<(std::ostream& out, const Kind& kind) { return out << kind.name; }

std::vector<Kind> Kinds() {
  std::vector<Kind> kinds = {{"Betas", "mnist_noattn", SchedulerConfig()},
                             {"Score", "mnist_noattn", SchedulerConfig()},
                             {"Edm", "mnist_noattn", SchedulerDefaults("EDMEulerScheduler")},
                             // Two channels in, four out.
                             {"LearnedRange", "odd_options", SchedulerConfig()}};
  kinds[1].scheduler.prediction_type = "score";
  kinds[3].scheduler.variance_type = "learned_range";
  return kinds;
}

class ModelLoaderTest : public testing::TestWithParam<Kind> {};

// One image of that class and guidance, in three steps.
std::vector<float> Draw(const LoadedModel& model, int class_id, const Guidance& guidance) {
  SamplingOptions options = DefaultSamplingOptions(model.config.scheduler);
  options.steps = 3;
  auto plan = CompilePlan(*MakeModelSchedule(model.config.scheduler), options);
  EXPECT_TRUE(plan.ok()) << plan.status();
  TrajectorySpec spec;
  spec.plan = std::make_shared<const SamplingPlan>(*std::move(plan));
  spec.seed = 5;
  spec.class_id = class_id;
  spec.guidance = guidance;
  StepTask task;
  for (size_t i = 0; i < spec.plan->rows.size(); ++i) {
    task.spec = &spec;
    task.plan_row = static_cast<int>(i);
    task.before = std::move(task.after);
    task.want_x_t = true;
    const absl::Status status = model.executors[0]->Step(absl::MakeSpan(&task, 1));
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_TRUE(task.status.ok()) << task.status;
  }
  return task.x_t->values;
}

TEST(ModelLoaderClassifierTest, GuidesAnUnconditionalModelTowardsAClass) {
  const fs::path golden = ShippedGoldenDirectory() / "unet" / "mnist_noattn";
  const auto plain = Checkpoint::Open(golden);
  ASSERT_TRUE(plain.ok()) << plain.status();
  CheckpointConfig config = plain->config();
  ASSERT_FALSE(config.unet.num_class_embeds.has_value());
  config.classifier = config.unet;
  config.classifier->out_channels = 3;
  UNet classifier(*config.classifier);
  classifier.ResetParameters(3);
  torch::manual_seed(4);
  {
    torch::NoGradGuard no_grad;
    for (auto& parameter : classifier.parameters()) {
      parameter.add_(torch::randn_like(parameter) * 0.1);
    }
  }
  const fs::path directory = fs::path(testing::TempDir()) / "with_classifier";
  fs::remove_all(directory);
  const absl::Status saved =
      SaveCheckpoint(directory, config, plain->tensors(), ViewParameters(classifier));
  ASSERT_TRUE(saved.ok()) << saved;

  const auto model = LoadModel(directory, {DeviceSpec()}, 0);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_NE(model->digest, plain->digest());
  EXPECT_EQ(NumClasses(model->config), 3);
  EXPECT_GE(model->executors[0]->capacity(), kMaxPasses);
  EXPECT_EQ(model->device_kind.substr(0, 3), "cpu");
  EXPECT_FALSE(model->libtorch_version.empty()) << "the classifier's gradients are LibTorch's";
  const auto unguided = Draw(*model, 0, {});
  EXPECT_EQ(Draw(*model, 1, {}), unguided) << "the network takes no class";
  const auto first = Draw(*model, 0, {.classifier_scale = 20});
  const auto second = Draw(*model, 1, {.classifier_scale = 20});
  EXPECT_NE(first, unguided);
  EXPECT_NE(second, first);
  EXPECT_EQ(Draw(*model, 0, {.classifier_scale = 20}), first);

  const auto without = LoadModel(golden, {DeviceSpec()}, 0);
  ASSERT_TRUE(without.ok()) << without.status();
  EXPECT_EQ(Draw(*without, 0, {}), unguided);
}

TEST_P(ModelLoaderTest, DrawsWithTheModelsOwnSampler) {
  const fs::path directory = CheckpointWith(GetParam().network, GetParam().scheduler);
  auto model = LoadModel(directory, {DeviceSpec()}, 0);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->config.scheduler, GetParam().scheduler);
  ASSERT_EQ(model->executors.size(), 1u);

  SamplingOptions options = DefaultSamplingOptions(model->config.scheduler);
  options.steps = 3;
  auto plan = CompilePlan(*MakeModelSchedule(model->config.scheduler), options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  TrajectorySpec spec;
  spec.plan = std::make_shared<const SamplingPlan>(*std::move(plan));
  spec.seed = 5;
  std::vector<StepTask> tasks(2);
  for (size_t i = 0; i < spec.plan->rows.size(); ++i) {
    for (StepTask& task : tasks) {
      task.spec = &spec;
      task.plan_row = static_cast<int>(i);
      task.before = std::move(task.after);
      task.want_x_t = true;
    }
    ASSERT_TRUE(model->executors[0]->Step(absl::MakeSpan(tasks)).ok());
    for (const StepTask& task : tasks) ASSERT_TRUE(task.status.ok()) << task.status;
  }
  const Frame& image = *tasks[0].x_t;
  EXPECT_EQ(image.channels, model->config.unet.in_channels);
  EXPECT_EQ(image.values, tasks[1].x_t->values);
  EXPECT_TRUE(std::all_of(image.values.begin(), image.values.end(),
                          [](float value) { return std::isfinite(value); }));
}

INSTANTIATE_TEST_SUITE_P(Kinds, ModelLoaderTest, testing::ValuesIn(Kinds()),
                         testing::PrintToStringParamName());

TEST(ModelLoaderTest, NamesWhatIsWrong) {
  EXPECT_EQ(LoadModel("nowhere", {DeviceSpec()}, 0).status().code(), absl::StatusCode::kNotFound);
  const fs::path directory = CheckpointWith("mnist_noattn", SchedulerDefaults("EDMEulerScheduler"));
  std::ofstream(directory / "scheduler" / "scheduler_config.json")
      << R"({"_class_name": "EDMEulerScheduler", "sigma_data": 0})";
  const absl::Status status = LoadModel(directory, {DeviceSpec()}, 0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("sigma_data is 0, expected 1e-06 to"));
}

TEST(ModelLoaderTest, RefusesWhatWouldTakeTooMuchMemoryBeforeItIsLoaded) {
  const fs::path golden = ShippedGoldenDirectory() / "unet" / "mnist_noattn";
  // Its tensors are another network's, but the memory comes first.
  CheckpointConfig config = Checkpoint::Open(golden)->config();
  config.unet.sample_height = config.unet.sample_width = 4096;
  const fs::path directory = fs::path(testing::TempDir()) / "large";
  ASSERT_TRUE(SaveCheckpoint(directory, config, {}).ok());
  const absl::Status status = LoadModel(directory, {DeviceSpec()}, 0, 1'000'000'000).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(directory.string()), HasSubstr("for a step on 1 thread"),
                    HasSubstr("most of all for sample_size 4096 x 4096"),
                    HasSubstr("the limit is 1 GB (--max_model_memory=1000000000)")));
}

TEST(ModelLoaderTest, MemoryIsThatOfAllThreads) {
  const fs::path golden = ShippedGoldenDirectory() / "unet" / "mnist_noattn";
  constexpr int64_t kMegabytes = 40'000'000;
  EXPECT_TRUE(LoadModel(golden, {DeviceSpec()}, 0, kMegabytes).ok());
  EXPECT_FALSE(LoadModel(golden, {DeviceSpec{.cores = 256}}, 0, kMegabytes).ok());
}

TEST(ModelLoaderTest, OnACpuBytesDependOnTheNumericsVersionAlone) {
  const fs::path golden = ShippedGoldenDirectory() / "unet" / "mnist_noattn";
  const auto model = LoadModel(golden, {DeviceSpec()}, 0);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->network_numerics, kNetworkNumerics);
  EXPECT_EQ(model->device_kind, "cpu");
  EXPECT_EQ(model->libtorch_version, "");
  EXPECT_EQ(model->micro_batch, 0);
  EXPECT_EQ(model->executors[0]->micro_batch(), kAnyRows) << "nothing is padded";
  const auto on_three = LoadModel(golden, {DeviceSpec{.cores = 3}}, 0);
  ASSERT_TRUE(on_three.ok()) << on_three.status();
  EXPECT_EQ(Draw(*on_three, 0, {}), Draw(*model, 0, {}));
  const absl::Status status = LoadModel(golden, {DeviceSpec()}, 2).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("micro_batch is 2, which is for CUDA"));
}

TEST(ModelLoaderTest, RefusesANetworkWhoseFirstOutputIsNotFinite) {
  const fs::path golden = ShippedGoldenDirectory() / "unet" / "mnist_noattn";
  const Checkpoint base = Checkpoint::Open(golden).value();
  TensorMap tensors = base.tensors();
  const std::vector<float> huge(tensors.at("conv_in.weight").data.size() / sizeof(float), 3e38F);
  tensors.at("conv_in.weight").data = std::as_bytes(std::span(huge));
  const fs::path directory = fs::path(testing::TempDir()) / "overflows";
  ASSERT_TRUE(SaveCheckpoint(directory, base.config(), tensors).ok());
  const absl::Status status = LoadModel(directory, {DeviceSpec()}, 0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << "its files alone mend that";
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(directory.string()),
                    HasSubstr("cannot be drawn with: the network's output is not finite")));
}

}  // namespace
}  // namespace diffusiond
