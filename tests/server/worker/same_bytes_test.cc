// The second promise, on a real network: 500 requests, drawn alone, in a crowd, on two workers and
// on workers that break under them, give the same bytes.
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/cpu_network/cpu_denoiser.h"
#include "model/cpu_network/kernels.h"
#include "model/files/sha256.h"
#include "model/sampling/plan_runner.h"
#include "model/sampling/sampler.h"
#include "server/engine/engine.h"
#include "server/worker/plan_step_executor.h"
#include "server/worker/worker_supervisor.h"
#include "tests/model/cpu_network/random_unet.h"
#include "tests/testing/counting_engine_metrics.h"
#include "tests/testing/executor_builder.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/faulty_denoiser.h"
#include "tests/testing/recording_listener.h"
#include "tests/testing/watched_time.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kRequests = 500;
constexpr int kMaxSteps = 250;  // And evaluations.
constexpr int kMaxCount = 4;
constexpr int kNullClass = 4;
constexpr absl::Duration kWatchdog = absl::Minutes(1);

// 8 x 8 grey, with attention in the middle and 4 classes.
std::shared_ptr<const CpuUNet> TinyNetwork() {
  UNetConfig config;
  config.sample_height = config.sample_width = 8;
  config.in_channels = config.out_channels = 1;
  config.block_out_channels = {8, 16};
  config.layers_per_block = 1;
  config.down_block_types = {"DownBlock2D", "DownBlock2D"};
  config.up_block_types = {"UpBlock2D", "UpBlock2D"};
  config.norm_num_groups = 4;
  config.attention_head_dim = 8;
  config.num_class_embeds = kNullClass + 1;
  return RandomCpuUNet(config);
}

class Random {
 public:
  explicit Random(uint32_t seed) : bits_(seed) {}
  int Draw(int low, int high) { return std::uniform_int_distribution<int>(low, high)(bits_); }
  size_t Index(size_t size) { return static_cast<size_t>(Draw(0, static_cast<int>(size) - 1)); }
  bool OneIn(int n) { return Draw(1, n) == 1; }
  // 1 .. high, each doubling as likely as any other.
  int DrawLogUniform(int high) {
    return static_cast<int>(std::exp(Fraction() * std::log(high + 1.0)));
  }
  double Fraction() { return std::uniform_real_distribution<double>(0, 1)(bits_); }
  template <typename T>
  T Pick(std::initializer_list<T> choices) {
    return choices.begin()[Draw(0, static_cast<int>(choices.size()) - 1)];
  }

 private:
  std::mt19937 bits_;
};

SamplingOptions RandomSampling(Random& random) {
  SamplingOptions options;
  options.steps = random.DrawLogUniform(kMaxSteps);
  options.timestep_spacing = random.Pick(
      {TimestepSpacing::kLeading, TimestepSpacing::kTrailing, TimestepSpacing::kLinspace});
  options.clip_sample = !random.OneIn(3);
  options.thresholding = random.OneIn(8);
  const Sampler& sampler = Samplers()[random.Index(Samplers().size())];
  options.sampler = sampler.name;
  options.eta = random.Pick({0.0, 0.5, 1.0});
  options.variance = random.Pick({Variance::kFixedSmall, Variance::kFixedLarge, Variance::kZero});
  options.sigma_schedule =
      random.Pick({SigmaSchedule::kTimesteps, SigmaSchedule::kKarras, SigmaSchedule::kExponential});
  options.final_sigmas_type = random.Pick({FinalSigmas::kZero, FinalSigmas::kSigmaMin});
  options.algorithm_type = random.Pick({DpmAlgorithm::kOde, DpmAlgorithm::kSde});
  options.solver_order = random.Draw(1, 3);
  if (!sampler.solver_types.empty()) {
    options.solver_type =
        *FromWord<SolverType>(sampler.solver_types[random.Index(sampler.solver_types.size())]);
  }
  options.s_churn = random.Pick({0.0, 5.0});
  options.skip_prk_steps = random.OneIn(2);
  options.langevin_steps = random.Draw(1, 4);
  return options;
}

// Not all that is drawn can be compiled, and a sampler may evaluate several times a step.
std::shared_ptr<const SamplingPlan> RandomPlan(const ModelSchedule& schedule, Random& random) {
  for (;;) {
    auto plan = CompilePlan(schedule, RandomSampling(random));
    if (!plan.ok() || plan->rows.size() > kMaxSteps) continue;
    return std::make_shared<const SamplingPlan>(*std::move(plan));
  }
}

GenerationSpec RandomRequest(const ModelSchedule& schedule, Random& random) {
  GenerationSpec spec;
  spec.model = "tiny";
  spec.tenant = absl::StrCat("tenant", random.Draw(0, 4));
  spec.priority = random.Pick({Priority::kHigh, Priority::kNormal, Priority::kLow});
  spec.preview_every_steps = random.Draw(0, 3);
  spec.preview_content = random.Pick(
      {PreviewContent::kNone, PreviewContent::kXt, PreviewContent::kX0Hat, PreviewContent::kBoth});
  TrajectorySpec image;
  image.plan = RandomPlan(schedule, random);
  image.seed = static_cast<uint64_t>(random.Draw(0, 1'000'000'000));
  if (!random.OneIn(3)) {
    image.class_id = random.Draw(0, kNullClass - 1);
    if (random.OneIn(2)) image.guidance.scale = random.Pick({0.0, 1.5, 3.0, 7.5});
  }
  const int count = random.Draw(1, kMaxCount);
  for (int i = 0; i < count; ++i) {
    image.image_index = static_cast<uint32_t>(i);
    spec.trajectories.push_back(image);
  }
  return spec;
}

std::vector<GenerationSpec> RandomRequests() {
  const ModelSchedule schedule = MakeModelSchedule(SchedulerConfig{}).value();
  Random random(20200619);
  std::vector<GenerationSpec> requests;
  for (int i = 0; i < kRequests; ++i) requests.push_back(RandomRequest(schedule, random));
  return requests;
}

const std::vector<GenerationSpec>& Requests() {
  static const auto& requests = *new std::vector<GenerationSpec>(RandomRequests());
  return requests;
}

// What decides when something is drawn, not what.
struct Setting {
  int workers = 1;
  int threads = 1;  // Of each worker.
  int window = 1;   // Requests at once.
  int max_resident = 1024;
  bool extras = true;  // With the requests' previews, priorities and tenants.
  std::shared_ptr<FaultScript> script = std::make_shared<FaultScript>(std::map<int64_t, Fault>());
  int hangs = 0;  // In the script.
};

struct Outcome {
  // By request and image: SHA-256 of the float32 bytes. Of a request that failed: its status.
  std::vector<std::vector<std::string>> digests;
  CountingEngineMetrics::Counts counts;
};

// Engine, supervisor and workers, all real but for the clock.
class Service {
 public:
  explicit Service(const Setting& setting);
  ~Service();

  // Every request through the engine, setting.window at a time.
  Outcome Draw(const std::vector<GenerationSpec>& requests);

 private:
  StepExecutors Build() const;
  // Sees every hang that the script has, as a minute that went by without a step's end.
  void WatchHangs();

  const Setting setting_;
  const std::shared_ptr<const CpuUNet> network_ = TinyNetwork();
  FakeClock clock_;
  CountingEngineMetrics metrics_;
  std::unique_ptr<Engine> engine_;
  ExecutorBuilder source_{[this](const DeviceSpec&) { return Build(); }};
  std::unique_ptr<WorkerSupervisor> supervisor_;
};

Service::Service(const Setting& setting) : setting_(setting) {
  Engine::Options engine;
  engine.max_trajectories = setting.window * kMaxCount;
  engine.queue_share = engine.high_priority_share = 1;
  engine.max_resident_trajectories = setting.max_resident;
  engine.metrics = &metrics_;
  engine_ = Engine::Create(engine).value();
  WorkerSupervisor::Options options;
  options.watchdog = kWatchdog;
  options.first_backoff = options.longest_backoff = absl::ZeroDuration();
  options.max_hangs = 100;
  options.now = clock_.AsFunction();
  supervisor_ =
      WorkerSupervisor::Start(engine_.get(), CpuDevices(setting.workers), &source_, options)
          .value();
}

Service::~Service() {
  setting_.script->Release();
  engine_->Shutdown();
  supervisor_.reset();
  setting_.script->AwaitNoDenoisers();
}

StepExecutors Service::Build() const {
  auto pool = std::make_shared<LanePool>(setting_.threads);
  auto denoiser = std::make_unique<FaultyDenoiser>(std::make_unique<CpuDenoiser>(network_, pool),
                                                   setting_.script);
  StepExecutors executors;
  executors["tiny"] = std::make_unique<PlanStepExecutor>(
      PlanRunner::Create(std::move(denoiser), std::move(pool)).value(), kNullClass);
  return executors;
}

void Service::WatchHangs() {
  for (int hang = 1; hang <= setting_.hangs; ++hang) {
    setting_.script->AwaitHangs(hang);
    PassWatched(2 * kWatchdog, clock_, *supervisor_);
  }
}

std::vector<std::string> DigestsOf(const RecordingListener& listener) {
  if (!listener.status().ok()) return {listener.status().ToString()};
  std::vector<std::string> digests;
  for (const auto& [index, frame] : listener.images()) {
    digests.push_back(Sha256Hex(std::as_bytes(std::span(frame.values))));
  }
  return digests;
}

Outcome Service::Draw(const std::vector<GenerationSpec>& requests) {
  std::thread watch([this] { WatchHangs(); });
  std::vector<std::shared_ptr<RecordingListener>> listeners;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (i >= static_cast<size_t>(setting_.window)) {
      listeners[i - static_cast<size_t>(setting_.window)]->AwaitFinished().IgnoreError();
    }
    GenerationSpec spec = requests[i];
    if (!setting_.extras) {
      spec.tenant.clear();
      spec.priority = Priority::kNormal;
      spec.preview_every_steps = 0;
    }
    listeners.push_back(std::make_shared<RecordingListener>());
    const auto id = engine_->Submit(std::move(spec), listeners.back());
    EXPECT_TRUE(id.ok()) << id.status();
  }
  EXPECT_TRUE(engine_->Drain(absl::InfiniteFuture()));
  watch.join();
  Outcome outcome;
  for (const auto& listener : listeners) outcome.digests.push_back(DigestsOf(*listener));
  outcome.counts = metrics_.counts();
  return outcome;
}

Outcome DrawAll(const Setting& setting) { return Service(setting).Draw(Requests()); }

// Each request alone, one after the other.
const std::vector<std::vector<std::string>>& Alone() {
  static const auto& alone =
      *new std::vector<std::vector<std::string>>(DrawAll({.window = 1, .extras = false}).digests);
  return alone;
}

std::string Describe(const TrajectorySpec& image) {
  return absl::StrCat("seed ", image.seed, ", image ", image.image_index, ", ", image.plan->steps,
                      " steps, class ", image.class_id.value_or(kNullClass), ", guidance ",
                      image.guidance.scale);
}

// A test failure that names the first request that differs, and says how many do.
void ExpectAsAlone(const Outcome& outcome) {
  int different = 0;
  std::string first;
  for (size_t i = 0; i < Requests().size(); ++i) {
    if (outcome.digests[i] == Alone()[i] || different++ > 0) continue;
    first = absl::StrCat(Describe(Requests()[i].trajectories[0]), ": ", outcome.digests[i][0]);
  }
  EXPECT_EQ(different, 0) << "of " << Requests().size() << " requests; the first: " << first;
}

TEST(SameBytes, AloneEveryRequestGivesItsOwnImages) {
  std::set<std::string> different;
  size_t images = 0;
  for (size_t i = 0; i < Requests().size(); ++i) {
    EXPECT_EQ(Alone()[i].size(), Requests()[i].trajectories.size());
    images += Alone()[i].size();
    different.insert(Alone()[i].begin(), Alone()[i].end());
  }
  EXPECT_EQ(different.size(), images) << "the comparisons below would find nothing";
}

TEST(SameBytes, InACrowdThatPreempts) {
  const Outcome crowd = DrawAll({.window = 64, .max_resident = 24});
  EXPECT_GT(crowd.counts.preemptions, 0);
  ExpectAsAlone(crowd);
}

TEST(SameBytes, OnTwoWorkersBetweenWhichImagesMove) {
  const Outcome two = DrawAll({.workers = 2, .window = 64, .max_resident = 48});
  EXPECT_GT(two.counts.migrations, 0);
  ExpectAsAlone(two);
}

TEST(SameBytes, WhileWorkersBreakAndHangAndAreBuiltAgain) {
  const std::map<int64_t, Fault> faults = {{100, Fault::kThrow},       {1000, Fault::kHang},
                                           {2000, Fault::kStatus},     {3000, Fault::kThrow},
                                           {4000, Fault::kStatus},     {5000, Fault::kThrow},
                                           {8000, Fault::kOutOfMemory}};
  const auto script = std::make_shared<FaultScript>(faults);
  const Outcome broken = DrawAll(
      {.workers = 2, .threads = 2, .window = 64, .max_resident = 24, .script = script, .hangs = 1});
  EXPECT_EQ(script->struck(), static_cast<int>(faults.size()));
  EXPECT_GE(broken.counts.device_failures, static_cast<int>(faults.size()) - 1);
  EXPECT_LT(broken.counts.lowest_resident_limit, 24) << "out of memory: fewer at once";
  ExpectAsAlone(broken);
}

TEST(SameBytes, OfAllButTheRequestsThatANanEnds) {
  constexpr size_t kFirst = 60;
  const auto script = std::make_shared<FaultScript>(std::map<int64_t, Fault>{{50, Fault::kNan}});
  const Outcome outcome = Service({.window = 64, .script = script})
                              .Draw({Requests().begin(), Requests().begin() + kFirst});
  constexpr size_t kCapacity = 2;  // Of one thread: what a guided trajectory takes.
  size_t ended = 0;
  for (size_t i = 0; i < kFirst; ++i) {
    if (outcome.digests[i] == Alone()[i]) continue;
    ++ended;
    EXPECT_THAT(outcome.digests[i], ElementsAre(HasSubstr("output is not finite at timestep")));
  }
  EXPECT_GE(ended, 1u);
  EXPECT_LE(ended, kCapacity) << "one network call's rows";
}

// A request's images are the same on every machine: what it draws in a crowd, on three threads of
// another instruction set, is what it draws here alone.
TEST(SameBytes, OnAnotherInstructionSet) {
  constexpr size_t kFirst = 12;
  for (const std::string& target : KernelTargets()) {
    UseKernelTarget(target);
    const Outcome there = Service({.threads = 3, .window = 64})
                              .Draw({Requests().begin(), Requests().begin() + kFirst});
    UseKernelTarget(KernelTargets().front());
    for (size_t i = 0; i < kFirst; ++i) {
      ASSERT_EQ(there.digests[i], Alone()[i])
          << target << ", " << Describe(Requests()[i].trajectories[0]);
    }
  }
}

}  // namespace
}  // namespace diffusiond
