// A thousand streams at once, over TCP, and one that is never read.
//
// Server, clients and device share this process, so what is counted of it bounds all three
// together.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/config.h"
#include "absl/strings/str_cat.h"
#include "client/load/load_run.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/rpc/test_server.h"
#include "tests/testing/counting_engine_metrics.h"

namespace diffusiond {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr int kFew = 10;
constexpr int kMany = 1000;
constexpr int kSteps = 20;
constexpr int kConnections = 4;  // Each asks ListModels once, before its streams.
// Of both ends of a stream with its queues, previews and records.
#if defined(ABSL_HAVE_THREAD_SANITIZER) || defined(ABSL_HAVE_ADDRESS_SANITIZER)
constexpr int64_t kMaxBytesPerStream = 2 << 20;
#else
constexpr int64_t kMaxBytesPerStream = 128 << 10;
#endif
constexpr absl::Duration kStall = absl::Seconds(2);

// Threads that gRPC may start late, as its pools fill: two a core and some timers, whatever the
// number of streams.
int ThreadSlack() { return 2 * static_cast<int>(std::thread::hardware_concurrency()) + 4; }

int CountThreads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// The most that this process had at any step.
struct Peak {
  std::atomic<int> threads = 0;
  std::atomic<int64_t> bytes = 0;

  void Sample() {
    threads = std::max(threads.load(), CountThreads());
    bytes = std::max(bytes.load(), ResidentBytes());
  }
};

// `streams` requests at once; two in three with previews of every step, one in three of two images.
LoadPlan PlanOf(int streams) {
  LoadPlan plan{.mix = ParseLoadMix("one steps=20 preview_every=1; two steps=20 preview_every=1 "
                                    "count=2; quiet steps=20 priority=low")
                           .value()};
  for (size_t i = 0; i < static_cast<size_t>(streams); ++i) {
    plan.requests.push_back(
        {.at = absl::ZeroDuration(), .entry = i % plan.mix.entries.size(), .seed = i});
  }
  return plan;
}

uint32_t ImagesOf(const LoadPlan& plan, const PlannedRequest& request) {
  return std::max(1u, plan.mix.entries[request.entry].request.count());
}

int ImagesOf(const LoadPlan& plan) {
  uint32_t images = 0;
  for (const PlannedRequest& request : plan.requests) images += ImagesOf(plan, request);
  return static_cast<int>(images);
}

int PreviewsOf(const LoadPlan& plan) {
  uint32_t previews = 0;
  for (const PlannedRequest& request : plan.requests) {
    const bool shown = plan.mix.entries[request.entry].request.has_preview();
    previews += shown ? ImagesOf(plan, request) * (kSteps - 1) : 0;
  }
  return static_cast<int>(previews);
}

// A server whose device stands still until all streams are open.
class Crowd {
 public:
  struct Options {
    int streams = kMany;
    absl::Duration stall_timeout = absl::InfiniteDuration();
    int max_waiting_previews = Engine::Options().max_waiting_previews;
  };

  explicit Crowd(const Options& options)
      : plan_(PlanOf(options.streams)), server_(ServerOptions(options)) {}
  ~Crowd() {
    server_.executors().ReleaseAll();
    if (clients_.joinable()) clients_.join();
  }

  // Opens the streams; all are accepted when it returns, and no step has ended.
  void Open() {
    clients_ = std::thread([this] {
      result_ = RunLoad(plan_, {.target = absl::StrCat("127.0.0.1:", server_.server().port()),
                                .channels = kConnections});
    });
    engine_metrics_.AwaitAdmitted(ImagesOf(plan_));
  }
  // Lets the device go and waits for the end of them all.
  void Finish() {
    peak_.Sample();
    server_.executors().ReleaseAll();
    clients_.join();
  }
  void ExpectAllWhole() const;

  TestServer& server() { return server_; }
  const LoadPlan& plan() const { return plan_; }
  const Peak& peak() const { return peak_; }
  CountingEngineMetrics& engine_metrics() { return engine_metrics_; }
  // After Finish.
  int previews_received() const;

 private:
  TestServer::Options ServerOptions(const Options& crowd);

  const LoadPlan plan_;
  Peak peak_;
  CountingEngineMetrics engine_metrics_;
  TestServer server_;
  std::thread clients_;
  absl::StatusOr<LoadResult> result_ = absl::UnknownError("not finished");
};

TestServer::Options Crowd::ServerOptions(const Options& crowd) {
  TestServer::Options options;
  options.puppet = true;
  options.server.listen_address = "127.0.0.1:0";
  options.server.transport.calls_per_connection = kMany;
  options.server.stall_timeout = crowd.stall_timeout;
  options.engine.max_waiting_previews = crowd.max_waiting_previews;
  options.engine.max_trajectories = 2 * kMany;
  options.engine.metrics = &engine_metrics_;
  options.executor.capacity = 64;
  options.executor.step_fault = [this](absl::Span<const StepTask>) {
    peak_.Sample();
    return absl::OkStatus();
  };
  return options;
}

void Crowd::ExpectAllWhole() const {
  ASSERT_TRUE(result_.ok()) << result_.status();
  EXPECT_TRUE(result_->first_failure.ok()) << result_->first_failure;
  for (size_t i = 0; i < plan_.requests.size(); ++i) {
    EXPECT_EQ(result_->records[i].outcome, LoadOutcome::kOk) << "stream " << i;
    EXPECT_EQ(result_->records[i].images, ImagesOf(plan_, plan_.requests[i])) << "stream " << i;
  }
}

int Crowd::previews_received() const {
  uint32_t previews = 0;
  for (const LoadRecord& record : result_->records) previews += record.previews;
  return static_cast<int>(previews);
}

// A stream of four images with both previews of every step, in this process, and no reader.
class Unread {
 public:
  static constexpr uint32_t kImages = 4;
  static constexpr int kSlots = 2 * kImages;  // Previews that may wait at once.
  static constexpr uint64_t kSeed = 123'456;

  explicit Unread(TestServer& server) {
    v1::GenerateRequest request;
    request.set_seed(kSeed);
    request.set_count(kImages);
    request.mutable_sampling()->set_steps(kSteps);
    request.mutable_preview()->set_every_steps(1);
    request.mutable_preview()->set_kind(v1::PREVIEW_KIND_BOTH);
    reader_ = server.stub().Generate(&context_, request);
  }

  grpc::ClientReader<v1::GenerateEvent>& reader() { return *reader_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::GenerateEvent>> reader_;
};

TEST(ManyStreams, AThousandAreServedByTheThreadsOfTen) {
  int threads_of_few = 0;
  {
    Crowd few({.streams = kFew});
    few.Open();
    few.Finish();
    few.ExpectAllWhole();
    threads_of_few = few.peak().threads;
  }
  Crowd many({});
  const int64_t before = ResidentBytes();
  many.Open();
  many.Finish();
  many.ExpectAllWhole();
  EXPECT_LE(many.peak().threads, threads_of_few + ThreadSlack());
  const int64_t bytes_per_stream = (many.peak().bytes - before) / kMany;
  EXPECT_LE(bytes_per_stream, kMaxBytesPerStream);
  RecordProperty("threads_of_ten", threads_of_few);
  RecordProperty("threads_of_a_thousand", many.peak().threads.load());
  RecordProperty("bytes_per_stream", absl::StrCat(bytes_per_stream));
}

TEST(ManyStreams, EveryPreviewIsSentOrCountedAsDroppedAndNoImageIs) {
  Crowd crowd({});
  crowd.Open();
  crowd.Finish();
  crowd.ExpectAllWhole();
  CountingMetrics& metrics = crowd.server().metrics();
  EXPECT_THAT(metrics.AwaitFinished(kConnections + kMany), Contains("Generate OK").Times(kMany));
  EXPECT_EQ(metrics.images_sent(), ImagesOf(crowd.plan()));
  EXPECT_EQ(metrics.previews_sent(), crowd.previews_received());
  EXPECT_EQ(metrics.previews_sent() + metrics.previews_dropped(), PreviewsOf(crowd.plan()));
}

TEST(ManyStreams, OneThatIsNeverReadKeepsItsNewestPreviewsAndHoldsUpNobody) {
  // Encoders drop none, so that a preview is lost to a newer one alone.
  Crowd crowd({.streams = kMany - 1, .max_waiting_previews = 1 << 20});
  crowd.Open();
  Unread unread(crowd.server());
  crowd.engine_metrics().AwaitAdmitted(ImagesOf(crowd.plan()) + static_cast<int>(Unread::kImages));
  crowd.Finish();
  // All others have ended, and it has not.
  crowd.ExpectAllWhole();
  CountingMetrics& metrics = crowd.server().metrics();
  EXPECT_THAT(metrics.AwaitFinished(kConnections + kMany - 1),
              Contains("Generate OK").Times(kMany - 1));
  EXPECT_EQ(metrics.started() - static_cast<int>(metrics.finished().size()), 1);
  // Of its previews one waits for each slot, and two may have been on their way.
  const int others_dropped = PreviewsOf(crowd.plan()) - crowd.previews_received();
  const int unread_previews = Unread::kSlots * (kSteps - 1);
  metrics.AwaitPreviewsDropped(others_dropped + unread_previews - Unread::kSlots - 2);

  int previews = 0;
  uint32_t images = 0;
  std::map<std::pair<uint32_t, int>, uint32_t> newest;
  v1::GenerateEvent event;
  while (unread.reader().Read(&event)) {
    images += event.has_image() ? 1 : 0;
    if (!event.has_preview()) continue;
    ++previews;
    const v1::Preview& preview = event.preview();
    newest[{preview.image_index(), preview.kind()}] = preview.steps_done();
  }
  EXPECT_TRUE(unread.reader().Finish().ok());
  EXPECT_EQ(images, Unread::kImages);
  EXPECT_LE(previews, Unread::kSlots + 2);
  EXPECT_THAT(newest, SizeIs(Unread::kSlots));
  EXPECT_THAT(newest, Each(Pair(_, kSteps - 1)));
}

TEST(ManyStreams, OneThatIsNeverReadIsEndedAndNoneOfTheOthersIs) {
  Crowd crowd({.streams = kMany - 1, .stall_timeout = kStall});
  crowd.Open();
  Unread unread(crowd.server());
  CountingMetrics& metrics = crowd.server().metrics();
  // The others have taken all there was, and wait for the device longer than the stall lasts.
  const std::vector<std::string> first = metrics.AwaitFinished(kConnections + 1);
  EXPECT_THAT(first, SizeIs(kConnections + 1));
  EXPECT_EQ(first.back(), "Generate CANCELLED");
  crowd.Finish();
  crowd.ExpectAllWhole();
  EXPECT_THAT(metrics.AwaitFinished(kConnections + kMany),
              Contains("Generate OK").Times(kMany - 1));
  EXPECT_EQ(unread.reader().Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_THAT(crowd.server().AwaitLog(kConnections + kMany),
              Contains(AllOf(HasSubstr(absl::StrCat("seed=", Unread::kSeed, " ")),
                             HasSubstr("took nothing for"))));
}

}  // namespace
}  // namespace diffusiond
