// The whole server in this process, with real networks, while versions come and go under load.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/diffusion_client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/publish_version.h"
#include "server/diffusiond.h"
#include "tests/model/checkpoint/golden_directory.h"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/testing/random_checkpoint.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr uint64_t kSeeds = 3;
constexpr char kName[] = "mine";

// One that draws other images than those with another `value`.
void WriteCheckpoint(const fs::path& directory, const Checkpoint& base, float value) {
  TensorMap tensors = base.tensors();
  std::vector<float> bias(static_cast<size_t>(base.config().unet.out_channels), value);
  tensors.at("conv_out.bias").data = std::as_bytes(std::span(bias));
  const absl::Status status = SaveCheckpoint(directory, base.config(), tensors);
  ASSERT_TRUE(status.ok()) << status;
}

// Diffusiond, and what it logs.
class Served {
 public:
  Served(const fs::path& repository, absl::Duration poll_interval) {
    Diffusiond::Options options;
    options.flags.model_repository = repository.string();
    options.flags.listen = "127.0.0.1:0";
    options.flags.metrics_listen = "";
    options.flags.http_listen = "";
    options.flags.cpu_cores = 2;
    options.flags.model_poll_interval = poll_interval;
    EXPECT_THAT(CheckFlags(options.flags, 2, &options.parsed), ::testing::IsEmpty());
    options.log = [this](const LogRecord& record) {
      const std::string line = record.Text();
      absl::MutexLock lock(&mu_);
      log_.push_back(line);
    };
    diffusiond_ = std::make_unique<Diffusiond>(std::move(options));
    const absl::Status status = diffusiond_->Start();
    EXPECT_TRUE(status.ok()) << status;
    client_ = DiffusionClient::Connect(diffusiond_->grpc_address(), {}).value();
  }

  const DiffusionClient& client() const { return *client_; }
  VersionManager& versions() { return diffusiond_->versions(); }

  void AwaitLogged(const std::string& text) {
    absl::MutexLock lock(&mu_);
    const auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return std::any_of(log_.begin(), log_.end(), [&text](const std::string& line) {
        return absl::StrContains(line, text);
      });
    };
    mu_.Await(absl::Condition(&there));
  }

 private:
  absl::Mutex mu_;
  std::vector<std::string> log_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Diffusiond> diffusiond_;
  std::unique_ptr<DiffusionClient> client_;
};

v1::GenerateRequest Request(const std::string& model, uint64_t seed, uint32_t steps) {
  v1::GenerateRequest request;
  request.set_model(model);
  request.set_seed(seed);
  request.mutable_sampling()->set_sampler("ddpm");
  request.mutable_sampling()->set_steps(steps);
  request.set_format(v1::IMAGE_FORMAT_RAW_FLOAT32);
  return request;
}

// What requests came to, by the version that their receipts name.
class Answers {
 public:
  void Add(uint64_t seed, const absl::StatusOr<v1::GenerateImagesResponse>& response) {
    absl::MutexLock lock(&mu_);
    if (!response.ok()) {
      failures_.push_back(response.status().ToString());
      return;
    }
    const int version = static_cast<int>(response->receipt().model_version());
    images_.push_back(
        {version, seed, response->receipt().model_digest(), response->images(0).data()});
    newest_ = std::max(newest_, version);
  }

  // Waits until one of this version has come.
  void Await(int version) {
    absl::MutexLock lock(&mu_);
    const auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return newest_ >= version || !failures_.empty();
    };
    mu_.Await(absl::Condition(&there));
  }

  struct Image {
    int version;
    uint64_t seed;
    std::string digest, bytes;
  };
  std::vector<Image> images() {
    absl::MutexLock lock(&mu_);
    return images_;
  }
  std::vector<std::string> failures() {
    absl::MutexLock lock(&mu_);
    return failures_;
  }

 private:
  absl::Mutex mu_;
  std::vector<Image> images_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> failures_ ABSL_GUARDED_BY(mu_);
  int newest_ ABSL_GUARDED_BY(mu_) = 0;
};

class ModelSwapTest : public ::testing::Test {
 protected:
  // As a publisher would, from a checkpoint of its own.
  PublishedVersion Publish(const Checkpoint& base, float value) {
    const fs::path source = scratch_ / "source";
    WriteCheckpoint(source, base, value);
    return PublishVersion(repository_, source, {.name = kName, .keep = 0, .training = ""}).value();
  }

  ScratchDirectory scratch_{MemoryTempDir()};
  const fs::path repository_ = scratch_ / "models";
};

TEST_F(ModelSwapTest, TwentySwapsUnderLoadFailNothingAndEachImageIsItsVersionsOwn) {
  constexpr int kSwaps = 20, kClients = 3;
  constexpr uint32_t kSteps = 8;
  const Checkpoint base = Checkpoint::Open(ShippedGoldenDirectory() / "unet/mnist_noattn").value();
  std::map<int, std::string> digests;
  const auto publish = [&] {
    const PublishedVersion published = Publish(base, 0.01F * static_cast<float>(digests.size()));
    digests[published.version] = published.digest;
  };
  publish();

  Answers answers, long_answers;
  {
    Served served(repository_, absl::Milliseconds(10));
    std::atomic<bool> stop = false;
    std::vector<std::thread> clients;
    for (int client = 0; client < kClients; ++client) {
      clients.emplace_back([&] {
        for (uint64_t i = 0; !stop; ++i) {
          const uint64_t seed = i % kSeeds;
          answers.Add(seed, served.client().GenerateImages(Request(kName, seed, kSteps)));
        }
      });
    }
    // One that lasts over many swaps.
    clients.emplace_back(
        [&] { long_answers.Add(0, served.client().GenerateImages(Request(kName, 0, 1000))); });
    answers.Await(1);
    for (int version = 2; version <= 1 + kSwaps; ++version) {
      publish();
      answers.Await(version);
    }
    stop = true;
    for (std::thread& client : clients) client.join();
    for (int version = 1; version <= kSwaps; ++version) {
      served.AwaitLogged(absl::StrCat("unloaded model=mine version=", version, " "));
    }
  }
  EXPECT_THAT(answers.failures(), ::testing::IsEmpty());
  EXPECT_THAT(long_answers.failures(), ::testing::IsEmpty());

  // Each version again, as a model of its own, one request at a time.
  const fs::path alone = scratch_ / "alone";
  fs::create_directories(alone);
  for (const auto& [version, digest] : digests) {
    fs::rename(repository_ / kName / absl::StrCat(version), alone / absl::StrCat("v", version));
  }
  Served reference(alone, absl::ZeroDuration());
  const auto draw = [&reference](int version, uint64_t seed, uint32_t steps) {
    const v1::GenerateRequest request = Request(absl::StrCat("v", version), seed, steps);
    return reference.client().GenerateImages(request).value().images(0).data();
  };
  std::map<std::pair<int, uint64_t>, std::string> expected;
  for (const auto& [version, digest] : digests) {
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      expected[{version, seed}] = draw(version, seed, kSteps);
    }
  }
  std::map<int, int> seen;
  for (const Answers::Image& image : answers.images()) {
    ++seen[image.version];
    ASSERT_EQ(image.digest, digests.at(image.version));
    ASSERT_TRUE(image.bytes == expected.at({image.version, image.seed}))
        << "version " << image.version << ", seed " << image.seed;
  }
  EXPECT_EQ(seen.size(), size_t{kSwaps + 1}) << "images of every version";
  ASSERT_EQ(long_answers.images().size(), 1u);
  EXPECT_EQ(long_answers.images()[0].version, 1) << "begun before the first swap";
  EXPECT_TRUE(long_answers.images()[0].bytes == draw(1, 0, 1000));
}

TEST_F(ModelSwapTest, BadWeightsAreRefusedAndTheOldVersionServesOn) {
  const Checkpoint base = Checkpoint::Open(ShippedGoldenDirectory() / "unet/mnist_noattn").value();
  Publish(base, 0);
  Served served(repository_, absl::ZeroDuration());
  const auto draw = [&] { return served.client().GenerateImages(Request(kName, 1, 2)); };
  const std::string before = draw().value().images(0).data();

  struct Bad {
    const char* tensor;
    std::vector<int64_t> shape;
    float value;
    const char* reason;
  };
  // Finite weights may still give what is not.
  for (const Bad& bad : {Bad{"conv_out.bias", {1}, NAN, "is NaN or infinite"},
                         Bad{"conv_out.bias", {1}, 3e38F, "finite"},
                         Bad{"conv_out.bias", {2}, 0, "of a wrong shape: 'conv_out.bias'"},
                         Bad{"conv_out.offset", {1}, 0, "1 surplus: 'conv_out.offset'"}}) {
    const auto models = served.versions().ListModelVersions(kName);
    const int version = models->front().versions.back().version + 1;
    const fs::path hidden = repository_ / kName / ".new";
    TensorMap tensors = base.tensors();
    std::vector<float> values(static_cast<size_t>(bad.shape[0]), bad.value);
    tensors[bad.tensor] = {Dtype::kF32, bad.shape, std::as_bytes(std::span(values))};
    if (bad.value > 1) {  // Twice the largest: the output overflows.
      for (const char* name : {"conv_out.weight"}) {
        static std::vector<float> huge;
        huge.assign(tensors.at(name).data.size() / sizeof(float), 3e38F);
        tensors[name].data = std::as_bytes(std::span(huge));
      }
    }
    ASSERT_TRUE(SaveCheckpoint(hidden, base.config(), tensors).ok());
    fs::rename(hidden, repository_ / kName / absl::StrCat(version));
    served.versions().Poll();
    const auto after = served.versions().ListModelVersions(kName);
    EXPECT_THAT(after->front().versions.back().refusal, HasSubstr(bad.reason));
    EXPECT_TRUE(draw().value().images(0).data() == before);
  }
}

// A version's threads come and go with it, and every arena of malloc that they use keeps a few MiB:
// with as many arenas as glibc likes (8 a core), that hides what the next test looks for. Set
// before there are threads.
[[maybe_unused]] const int kFewArenas = mallopt(M_ARENA_MAX, 2);

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t pages = 0;
  file >> pages >> pages;
  return pages * sysconf(_SC_PAGESIZE);
}

TEST_F(ModelSwapTest, MemoryReturnsWithTheLastRequestOfAnOldVersion) {
  CheckpointConfig config;
  config.unet.sample_height = config.unet.sample_width = 8;
  config.unet.block_out_channels = {128, 256};
  config.unet.down_block_types = {"DownBlock2D", "DownBlock2D"};
  config.unet.up_block_types = {"UpBlock2D", "UpBlock2D"};
  const int64_t weights = WriteRandomCheckpoint(scratch_ / "base", config, 1).value();
  ASSERT_GT(weights, int64_t{40} << 20);

  const auto publish = [&](float value) {
    // Opened for as long as it takes: what is mapped counts.
    return Publish(Checkpoint::Open(scratch_ / "base").value(), value).version;
  };
  publish(0);
  Served served(repository_, absl::ZeroDuration());
  const auto draw = [&] { EXPECT_TRUE(served.client().GenerateImages(Request(kName, 1, 2)).ok()); };
  std::vector<int64_t> resident;
  for (int swap = 1; swap <= 6; ++swap) {
    draw();
    const int version = publish(static_cast<float>(swap));
    served.versions().Poll();
    served.AwaitLogged(absl::StrCat("unloaded model=mine version=", version - 1, " "));
    draw();
    resident.push_back(ResidentBytes());
  }
  RecordProperty("weights_mib", static_cast<int>(weights >> 20));
  for (const int64_t bytes : resident) std::printf("resident %ld MiB\n", bytes >> 20);
  // One version that stayed would show as its weights.
  EXPECT_LT(resident.back(), resident.front() + weights / 2);
}

}  // namespace
}  // namespace diffusiond
