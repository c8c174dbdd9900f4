// Classifier guidance through Generate, exact: two Gaussian classes, for which both the denoiser
// that knows the class and the classifier's gradient are known. By Bayes' rule the score of no
// class plus scale times the classifier's gradient is what classifier-free guidance mixes at that
// scale.
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/diffusion/noise_schedule.h"
#include "model/sampling/plan_runner.h"
#include "server/worker/plan_step_executor.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

constexpr ImageShape kShape = {1, 2, 2};
constexpr size_t kPixels = 4;
constexpr int kMicroBatch = 2;
constexpr int64_t kNullLabel = 2;
constexpr std::array<double, 2> kMeans = {0.5, -0.3};
constexpr double kDeviation = 0.3;

SchedulerConfig Scheduler() {
  SchedulerConfig scheduler;
  scheduler.num_train_timesteps = 20;
  return scheduler;
}

// x_t of both classes at one timestep.
class NoisedClasses {
 public:
  explicit NoisedClasses(float timestep) {
    const NoiseSchedule schedule = *NoiseSchedule::Create(Scheduler());
    alpha_bar_ = schedule.alpha_bar(static_cast<int64_t>(timestep));
    variance_ = alpha_bar_ * kDeviation * kDeviation + 1 - alpha_bar_;
  }

  double noise() const { return std::sqrt(1 - alpha_bar_); }

  // Of log p(x_t | label), or of log p(x_t) for the null label.
  std::array<double, kPixels> Score(std::span<const float> x, int64_t label) const {
    std::array<double, 2> share = {0, 0};
    if (label == kNullLabel) {
      double log_odds = 0;
      for (const float value : x) log_odds += (Square(value, 1) - Square(value, 0)) / 2;
      share[0] = 1 / (1 + std::exp(-log_odds));
      share[1] = 1 - share[0];
    } else {
      share[static_cast<size_t>(label)] = 1;
    }
    std::array<double, kPixels> score = {};
    for (size_t i = 0; i < kPixels; ++i) {
      for (size_t k = 0; k < 2; ++k) {
        score[i] -= share[k] * (x[i] - std::sqrt(alpha_bar_) * kMeans[k]) / variance_;
      }
    }
    return score;
  }

 private:
  double Square(double value, size_t k) const {
    return std::pow(value - std::sqrt(alpha_bar_) * kMeans[k], 2) / variance_;
  }

  double alpha_bar_ = 0, variance_ = 0;
};

class ExactDenoiser : public Denoiser {
 public:
  explicit ExactDenoiser(bool knows_classes) : knows_classes_(knows_classes) {}
  ImageShape shape() const override { return kShape; }
  int micro_batch() const override { return kMicroBatch; }
  absl::Status Predict(std::span<const float> x, std::span<const float> timesteps,
                       std::span<const int64_t> labels, std::span<float> f) override {
    for (size_t row = 0; row < timesteps.size(); ++row) {
      const NoisedClasses classes(timesteps[row]);
      const auto score = classes.Score(x.subspan(row * kPixels, kPixels),
                                       knows_classes_ ? labels[row] : kNullLabel);
      for (size_t i = 0; i < kPixels; ++i) {
        f[row * kPixels + i] = static_cast<float>(-classes.noise() * score[i]);
      }
    }
    return absl::OkStatus();
  }

 private:
  const bool knows_classes_;
};

class ExactClassifier : public NoiseClassifier {
 public:
  ImageShape shape() const override { return kShape; }
  int micro_batch() const override { return kMicroBatch; }
  absl::Status Gradient(std::span<const float> x, std::span<const float> timesteps,
                        std::span<const int64_t> labels, std::span<float> gradient) override {
    for (size_t row = 0; row < timesteps.size(); ++row) {
      const NoisedClasses classes(timesteps[row]);
      const auto image = x.subspan(row * kPixels, kPixels);
      const auto of_class = classes.Score(image, labels[row]);
      const auto of_none = classes.Score(image, kNullLabel);
      for (size_t i = 0; i < kPixels; ++i) {
        gradient[row * kPixels + i] = static_cast<float>(of_class[i] - of_none[i]);
      }
    }
    return absl::OkStatus();
  }
};

// "labelled": its network takes the class. "classified": a classifier beside it does.
ServedModel Model(const std::string& name) {
  CheckpointConfig config;
  config.unet.sample_height = kShape.height;
  config.unet.sample_width = kShape.width;
  config.unet.in_channels = config.unet.out_channels = kShape.channels;
  config.scheduler = Scheduler();
  if (name == "labelled") {
    config.unet.num_class_embeds = 3;
    config.null_class_id = kNullLabel;
  } else {
    config.classifier = config.unet;
    config.classifier->out_channels = 2;
  }
  config.class_names = {"bright", "dark"};
  auto model = MakeServedModel(
      name, config, "d1637e", 1,
      {.libtorch_version = "none", .device_kind = "exact", .micro_batch = kMicroBatch});
  EXPECT_TRUE(model.ok()) << model.status();
  return *std::move(model);
}

std::unique_ptr<StepExecutor> MakeExecutor(const ServedModel& model) {
  std::vector<std::unique_ptr<Denoiser>> lanes;
  std::vector<std::unique_ptr<NoiseClassifier>> classifiers;
  lanes.push_back(std::make_unique<ExactDenoiser>(model.is_conditional));
  if (model.has_classifier) classifiers.push_back(std::make_unique<ExactClassifier>());
  auto runner = PlanRunner::Create(std::move(lanes), std::move(classifiers));
  EXPECT_TRUE(runner.ok()) << runner.status();
  return std::make_unique<PlanStepExecutor>(*std::move(runner), kNullLabel);
}

TestServer::Options ExactModels() {
  TestServer::Options options;
  options.models = {Model("labelled"), Model("classified")};
  options.make_executor = MakeExecutor;
  return options;
}

v1::GenerateRequest Request(const std::string& model, const std::string& sampler) {
  v1::GenerateRequest request;
  request.set_model(model);
  request.mutable_sampling()->set_sampler(sampler);
  request.mutable_sampling()->set_steps(8);
  request.set_seed(3);
  request.set_count(3);
  request.set_format(v1::IMAGE_FORMAT_RAW_FLOAT32);
  return request;
}

// The pixels of all images, one after the other.
std::vector<float> Pixels(TestServer& server, const v1::GenerateRequest& request) {
  std::vector<float> pixels;
  for (const v1::Image& image : ImagesOf(server.Generate(request))) {
    std::vector<float> values(image.data().size() / sizeof(float));
    std::memcpy(values.data(), image.data().data(), image.data().size());
    pixels.insert(pixels.end(), values.begin(), values.end());
  }
  EXPECT_EQ(pixels.size(), request.count() * kPixels);
  return pixels;
}

TEST(ClassifierGuidanceByGenerate, DrawsWhatGuidanceByLabelsDraws) {
  TestServer server(ExactModels());
  for (const std::string sampler : {"ddpm", "ddim", "dpmpp", "heun"}) {
    for (const float scale : {1.0f, 2.5f}) {
      for (const uint32_t class_id : {0u, 1u}) {
        SCOPED_TRACE(testing::Message() << sampler << " " << scale << " class " << class_id);
        v1::GenerateRequest by_label = Request("labelled", sampler);
        by_label.set_class_id(class_id);
        by_label.mutable_sampling()->set_guidance_scale(scale);
        v1::GenerateRequest by_classifier = Request("classified", sampler);
        by_classifier.set_class_id(class_id);
        by_classifier.mutable_sampling()->set_classifier_scale(scale);
        const auto wanted = Pixels(server, by_label);
        EXPECT_THAT(Pixels(server, by_classifier),
                    testing::Pointwise(testing::FloatNear(1e-4f), wanted));
        EXPECT_NE(Pixels(server, Request("classified", sampler)), wanted) << "guidance acts";
      }
    }
  }
}

TEST(ClassifierGuidanceByGenerate, IsTheOnlyWayToAClassThatTheNetworkDoesNotTake) {
  TestServer server(ExactModels());
  v1::GenerateRequest request = Request("classified", "ddim");
  request.set_class_name("dark");
  grpc::Status status;
  const auto events = server.Generate(request, &status);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(events.front().accepted().parameters().sampling().classifier_scale(), 1);
  EXPECT_EQ(events.front().accepted().parameters().class_id(), 1u);
  request.clear_class_name();
  request.set_class_id(1);
  request.mutable_sampling()->set_classifier_scale(1);
  const auto again = ImagesOf(server.Generate(request));
  const auto images = ImagesOf(events);
  ASSERT_EQ(images.size(), again.size());
  for (size_t i = 0; i < images.size(); ++i) EXPECT_EQ(images[i].data(), again[i].data());
}

// Rows with and without the classifier in the same batches.
TEST(ClassifierGuidanceByGenerate, ACrowdChangesNoByte) {
  TestServer server(ExactModels());
  v1::GenerateRequest guided = Request("classified", "ddpm");
  guided.set_class_id(0);
  guided.mutable_sampling()->set_classifier_scale(4);
  guided.mutable_sampling()->set_guidance_sigma_max(0.5f);
  const v1::GenerateRequest plain = Request("classified", "ddim");
  const auto guided_alone = Pixels(server, guided), plain_alone = Pixels(server, plain);

  std::array<grpc::ClientContext, 4> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::GenerateEvent>>> readers;
  for (size_t i = 0; i < contexts.size(); ++i) {
    readers.push_back(server.stub().Generate(&contexts[i], i % 2 == 0 ? guided : plain));
  }
  for (size_t i = 0; i < readers.size(); ++i) {
    std::vector<v1::GenerateEvent> events;
    v1::GenerateEvent event;
    while (readers[i]->Read(&event)) events.push_back(std::move(event));
    EXPECT_TRUE(readers[i]->Finish().ok());
    std::string bytes;
    for (const v1::Image& image : ImagesOf(events)) bytes += image.data();
    const auto& alone = i % 2 == 0 ? guided_alone : plain_alone;
    ASSERT_EQ(bytes.size(), alone.size() * sizeof(float));
    EXPECT_EQ(std::memcmp(bytes.data(), alone.data(), bytes.size()), 0) << i;
  }
}

}  // namespace
}  // namespace diffusiond
