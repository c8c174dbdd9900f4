#include "client/cancellation.h"

#include <atomic>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

TEST(CancellationTest, StaysCancelled) {
  const auto cancellation = Cancellation::Create().value();
  EXPECT_FALSE(cancellation->cancelled());
  cancellation->Cancel();
  cancellation->Cancel();
  EXPECT_TRUE(cancellation->cancelled());
  EXPECT_TRUE(cancellation->cancelled());
  EXPECT_TRUE(cancellation->WaitFor(absl::InfiniteDuration()));
}

TEST(CancellationTest, WaitEndsWithoutCancellation) {
  const auto cancellation = Cancellation::Create().value();
  EXPECT_FALSE(cancellation->WaitFor(absl::Milliseconds(1)));
}

TEST(CancellationWatcherTest, CallsBackWhenThrown) {
  const auto cancellation = Cancellation::Create().value();
  absl::Notification called;
  const CancellationWatcher watcher(cancellation.get(), [&called] { called.Notify(); });
  cancellation->Cancel();
  called.WaitForNotification();
}

TEST(CancellationWatcherTest, ManyWatchOneCancellation) {
  const auto cancellation = Cancellation::Create().value();
  absl::Notification first, second;
  const CancellationWatcher a(cancellation.get(), [&first] { first.Notify(); });
  const CancellationWatcher b(cancellation.get(), [&second] { second.Notify(); });
  cancellation->Cancel();
  first.WaitForNotification();
  second.WaitForNotification();
}

TEST(CancellationWatcherTest, CallsBackAtOnceWhenAlreadyThrown) {
  const auto cancellation = Cancellation::Create().value();
  cancellation->Cancel();
  bool called = false;
  const CancellationWatcher watcher(cancellation.get(), [&called] { called = true; });
  EXPECT_TRUE(called);
}

TEST(CancellationWatcherTest, EndsQuietlyWhenNobodyCancels) {
  const auto cancellation = Cancellation::Create().value();
  std::atomic<bool> called = false;
  {
    const CancellationWatcher watcher(cancellation.get(), [&called] { called = true; });
    const CancellationWatcher of_nothing(nullptr, [&called] { called = true; });
  }
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace diffusiond
