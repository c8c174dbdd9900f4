#include "server/engine/listener_queue.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/recording_listener.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ListenerQueue, DeliversInOrderAndOnlyWhenAsked) {
  auto listener = std::make_shared<RecordingListener>();
  ListenerQueue queue(listener);
  queue.Push(ListenerQueue::Progress{0, 1, 2});
  queue.Push(ListenerQueue::Preview{0, 1, 500, PreviewContent::kX0Hat, {}});
  EXPECT_THAT(listener->log(), IsEmpty());

  EXPECT_FALSE(queue.Deliver());
  queue.Push(ListenerQueue::FinalImage{0, {}});
  queue.Push(ListenerQueue::Finished{absl::OkStatus(), {}});
  EXPECT_TRUE(queue.Deliver());
  EXPECT_FALSE(queue.Deliver());

  EXPECT_THAT(listener->log(),
              ElementsAre("progress 0 1/2", "preview 0 1 x0_hat", "image 0", "finished OK"));
}

TEST(ListenerQueue, ReleasesTheListenerAfterFinished) {
  auto listener = std::make_shared<RecordingListener>();
  ListenerQueue queue(listener);
  queue.Push(ListenerQueue::Finished{absl::CancelledError("x"), {}});
  EXPECT_EQ(listener.use_count(), 2);
  queue.Deliver();
  EXPECT_EQ(listener.use_count(), 1);
}

TEST(ListenerQueue, WhatAListenerCausesIsDeliveredAfterItsCallReturns) {
  ListenerQueue* queue = nullptr;
  auto listener = std::make_shared<RecordingListener>([&queue](const std::string& line) {
    if (line != "progress 0 1/2") return;
    queue->Push(ListenerQueue::Finished{absl::CancelledError("x"), {}});
    EXPECT_FALSE(queue->Deliver());
  });
  ListenerQueue own(listener);
  queue = &own;
  queue->Push(ListenerQueue::Progress{0, 1, 2});
  EXPECT_TRUE(queue->Deliver());
  EXPECT_THAT(listener->log(), ElementsAre("progress 0 1/2", "finished CANCELLED"));
}

TEST(ListenerQueue, ManyThreadsNeverCallAtOnceAndLoseNothing) {
  constexpr int kThreads = 4, kEvents = 500;
  auto listener = std::make_shared<RecordingListener>();
  ListenerQueue queue(listener);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&queue, t] {
      for (int i = 1; i <= kEvents; ++i) {
        queue.Push(ListenerQueue::Progress{t, i, kEvents});
        queue.Deliver();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  queue.Deliver();
  // The listener itself fails the test on calls at the same time.
  EXPECT_EQ(listener->log().size(), size_t{kThreads * kEvents});
}

}  // namespace
}  // namespace diffusiond
