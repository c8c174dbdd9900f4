// How far our network's images are from those by LibTorch's, drawn from the same seeds: by the
// model's defaults, and by DDPM in all of its steps. Fails where more than rounding could tell them
// apart. With a classifier, as diffusion-train --image_classifier writes it, and the images that it
// was trained for: both sets' distance to the test images, and how many are of the class they were
// asked to be of.
//
//   build/release/bin/drawn_images_benchmark [--quick] [CHECKPOINT [CLASSIFIER DATA]]
#include <algorithm>
#include <cmath>
#include <cstdio>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "model/checkpoint/diffusers_directory.h"
#include "model/cpu_network/cpu_denoiser.h"
#include "model/evaluation/drawn_images.h"
#include "model/evaluation/feature_statistics.h"
#include "model/evaluation/image_classifier.h"
#include "model/imaging/image.h"
#include "model/sampling/plan_runner.h"
#include "model/training/data/open_dataset.h"
#include "tests/benchmarks/benchmark_run.h"
#include "tests/benchmarks/measured_networks.h"

namespace diffusiond {
namespace {

constexpr int kRows = 8;
// One of 255 levels. Rounding differs by 1e-6 an evaluation, and a trajectory makes little more of
// it.
constexpr double kMostDifference = 2.0 / 255;

template <typename T>
T Checked(absl::StatusOr<T> value) {
  if (!value.ok()) FailBenchmark(value.status().message());
  return *std::move(value);
}

std::unique_ptr<PlanRunner> Ours(const MeasuredNetwork& network, int threads) {
  const auto pool = std::make_shared<LanePool>(threads);
  return Checked(PlanRunner::Create(std::make_unique<CpuDenoiser>(network.ours, pool), pool));
}

std::unique_ptr<PlanRunner> LibTorchs(const MeasuredNetwork& network, int threads) {
  std::vector<std::unique_ptr<Denoiser>> lanes;
  lanes.push_back(LibTorchDenoiser(network, kRows, threads));
  return Checked(PlanRunner::Create(std::move(lanes)));
}

// What both sets are judged by.
struct Judge {
  std::unique_ptr<ImageClassifier> classifier;
  GaussianMoments real;
};

Judge JudgeBy(const std::string& classifier, const std::string& data,
              const CheckpointConfig& config) {
  Judge judge;
  judge.classifier = Checked(ImageClassifier::Load(classifier));
  if (!judge.classifier->NumberAs(config.class_names).ok()) {
    FailBenchmark("the classifier knows other classes than the model");
  }
  DatasetSpec spec;
  spec.path = data;
  spec.split = DatasetSplit::kTest;
  const ImageDataset images = Checked(OpenDataset(spec));
  std::vector<Frame> frames;
  for (int64_t i = 0; i < images.size(); ++i) frames.push_back(ToFrame(ImageAt(images, i)));
  judge.real = Checked(MomentsOf(Checked(judge.classifier->Extract(frames))));
  return judge;
}

void PrintJudgement(const char* whose, const DrawnImages& drawn, const Judge& judge) {
  std::vector<Frame> seen;  // What a client gets is bytes.
  for (const Frame& frame : drawn.frames) seen.push_back(ToFrame(ToImage(frame)));
  const ImageFeatures features = Checked(judge.classifier->Extract(seen));
  const std::vector<int64_t> classes = LikeliestClasses(features);
  int64_t hits = 0;
  for (size_t i = 0; i < classes.size(); ++i) hits += classes[i] == drawn.labels[i];
  std::printf("  %-10s Frechet distance %.6f, %lld of %zu images of their class\n", whose,
              FrechetDistance(Checked(MomentsOf(features)), judge.real),
              static_cast<long long>(hits), classes.size());
}

void Compare(const MeasuredNetwork& network, const CheckpointConfig& config, const Setting& setting,
             const Judge* judge) {
  const ModelSchedule schedule = Checked(MakeModelSchedule(config.scheduler));
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const auto drawn_by = [&](const std::unique_ptr<PlanRunner>& runner) {
    return Checked(Draw(config, schedule, setting, /*seed=*/0, runner.get()));
  };
  const DrawnImages our_images = drawn_by(Ours(network, cores));
  const DrawnImages their_images = drawn_by(LibTorchs(network, cores));
  const std::vector<Frame>&ours = our_images.frames, &theirs = their_images.frames;
  double most = 0, squares = 0, values = 0, changed = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    const Image our_bytes = ToImage(ours[i]);
    const Image their_bytes = ToImage(theirs[i]);
    for (size_t j = 0; j < our_bytes.pixels.size(); ++j)
      changed += our_bytes.pixels[j] != their_bytes.pixels[j];
    for (size_t j = 0; j < ours[i].values.size(); ++j) {
      const double difference = std::abs(double{ours[i].values[j]} - theirs[i].values[j]);
      most = std::max(most, difference);
      squares += difference * difference;
      ++values;
    }
  }
  std::printf(
      "%zu images, %s: they differ by %.1e (rms) and %.1e at most, of values in -1 .. 1; as 8 bits "
      "%.0f of %.0f pixels differ\n",
      ours.size(), setting.ToString().c_str(), std::sqrt(squares / values), most, changed, values);
  if (judge != nullptr) {
    PrintJudgement("ours", our_images, *judge);
    PrintJudgement("LibTorch's", their_images, *judge);
  }
  std::fflush(stdout);
  if (most > kMostDifference) FailBenchmark("the images are not the same");
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  using namespace diffusiond;
  const std::vector<std::string> arguments = ParseBenchmarkFlags(argc, argv);
  const std::string directory =
      arguments.empty() ? "model/checkpoints/fashion-mnist" : arguments.front();
  PrintProcessor();
  const CheckpointConfig config = Checked(Checkpoint::Open(directory)).config();
  const MeasuredNetwork network = Checked(CheckpointNetwork(directory));
  std::optional<Judge> judge;
  if (arguments.size() == 3) judge = JudgeBy(arguments[1], arguments[2], config);
  Compare(network, config, Checked(DefaultSetting(config, FullOrQuick(1000, 10))),
          judge.has_value() ? &*judge : nullptr);
  Setting ddpm = Checked(DefaultSetting(config, FullOrQuick(20, 1)));
  ddpm.sampling = SamplingOptions();
  ddpm.sampling.sampler = "ddpm";
  ddpm.sampling.steps = FullOrQuick(static_cast<int>(config.scheduler.num_train_timesteps), 100);
  ddpm.guidance_scale = 1;
  Compare(network, config, ddpm, nullptr);
  return 0;
}
