// A large answer is written away from the thread that tells of every generation.
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/server/http/front_requests.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr int kSide = 160;  // 100 KiB of floats; a PNG of them is less than a large answer.
constexpr char kLarge[] = R"({"className": "sneaker", "format": "IMAGE_FORMAT_RAW_FLOAT32"})";
constexpr char kSmall[] = R"({"className": "sneaker"})";

class LargeAnswersTest : public ::testing::Test {
 protected:
  LargeAnswersTest() {
    TestServer::Options options;
    options.executor.height = options.executor.width = kSide;
    options.server.decoders = {.threads = 1, .max_queued = 1, .max_queued_per_address = 1};
    ServedModel model = TestModel();
    model.height = model.width = kSide;
    options.models = {model};
    server_ = std::make_unique<TestServer>(options);
    front_ = StartBefore(*server_);
  }
  ~LargeAnswersTest() override { Release(); }

  // The only decoder thread stands still until Release.
  void HoldDecoder() {
    ASSERT_TRUE(Schedule([this] {
      held_.Notify();
      released_.WaitForNotification();
    }));
    held_.WaitForNotification();
  }
  void Release() {
    if (!released_.HasBeenNotified()) released_.Notify();
  }
  bool Schedule(std::function<void()> job) {
    return server_->server().context()->decoders->Schedule("another", std::move(job));
  }
  // All is drawn, and what is left is to write it.
  void AwaitImages(int count) {
    while (server_->metrics().images_sent() < count) std::this_thread::yield();
  }

  absl::Notification held_, released_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<HttpFront> front_;
};

TEST_F(LargeAnswersTest, OthersAreAnsweredBeforeItIsWritten) {
  HoldDecoder();
  const HttpPeer large(front_->port());
  large.Send(Post("/v1/generate", kLarge));
  AwaitImages(1);
  EXPECT_THAT(Ask(*front_, Post("/v1/generate", kSmall)), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(server_->metrics().AwaitFinished(1), ElementsAre("POST /v1/generate OK"));
  EXPECT_FALSE(server_->server().Drain(absl::Now())) << "it is in progress";
  Release();
  const std::string answer = large.ReadToEnd();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  const auto body = nlohmann::json::parse(BodyOf(answer));
  EXPECT_EQ(std::string(body["images"][0]["data"]).size(), (kSide * kSide * 4 + 2) / 3 * 4);
  EXPECT_EQ(server_->metrics().AwaitFinished(2).back(), "POST /v1/generate OK");
}

TEST_F(LargeAnswersTest, ItsClientMayGoBeforeItIsWritten) {
  HoldDecoder();
  {
    const HttpPeer large(front_->port());
    large.Send(Post("/v1/generate", kLarge));
    AwaitImages(1);
    EXPECT_THAT(server_->metrics().finished(), IsEmpty());
  }
  EXPECT_THAT(server_->metrics().AwaitFinished(1), ElementsAre("POST /v1/generate CANCELLED"));
  Release();
  EXPECT_THAT(Ask(*front_, Post("/v1/generate", kLarge)), StartsWith("HTTP/1.1 200"));
}

TEST_F(LargeAnswersTest, TheServerMayEndBeforeItIsWritten) {
  HoldDecoder();
  const HttpPeer large(front_->port());
  large.Send(Post("/v1/generate", kLarge));
  AwaitImages(1);
  front_.reset();
  EXPECT_EQ(large.ReadToEnd().size(), 0u);
  Release();
  server_.reset();
}

}  // namespace
}  // namespace diffusiond
