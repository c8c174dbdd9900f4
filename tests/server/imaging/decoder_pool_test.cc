#include "server/imaging/decoder_pool.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Notes who ran. Thread-safe.
class Notes {
 public:
  std::function<void()> Job(const std::string& name) {
    return [this, name] {
      absl::MutexLock lock(&mu_);
      names_.push_back(name);
    };
  }
  std::vector<std::string> Await(size_t count) {
    const auto enough = [this, count]()
                            ABSL_SHARED_LOCKS_REQUIRED(mu_) { return names_.size() >= count; };
    absl::MutexLock lock(&mu_, absl::Condition(&enough));
    return names_;
  }

 private:
  absl::Mutex mu_;
  std::vector<std::string> names_ ABSL_GUARDED_BY(mu_);
};

// A pool of one thread, which is busy until Release.
class HeldPool {
 public:
  explicit HeldPool(DecoderPool::Options options) : pool_(*DecoderPool::Create(options)) {
    EXPECT_TRUE(pool_->Schedule("holder", [this] {
      held_.Notify();
      released_.WaitForNotification();
    }));
    held_.WaitForNotification();
  }
  ~HeldPool() { Release(); }
  void Release() {
    if (!released_.HasBeenNotified()) released_.Notify();
  }
  DecoderPool& operator*() { return *pool_; }
  DecoderPool* operator->() { return pool_.get(); }

 private:
  absl::Notification held_, released_;
  std::unique_ptr<DecoderPool> pool_;
};

TEST(DecoderPool, AddressesTakeTurns) {
  Notes notes;
  HeldPool pool({.threads = 1});
  for (const std::string job : {"a1", "a2", "a3"}) {
    EXPECT_TRUE(pool->Schedule("a", notes.Job(job)));
  }
  EXPECT_TRUE(pool->Schedule("b", notes.Job("b1")));
  EXPECT_TRUE(pool->Schedule("c", notes.Job("c1")));
  EXPECT_TRUE(pool->Schedule("b", notes.Job("b2")));
  pool.Release();
  EXPECT_THAT(notes.Await(6), ElementsAre("a1", "b1", "c1", "a2", "b2", "a3"));
}

TEST(DecoderPool, TakesNoMoreThanMayWait) {
  Notes notes;
  HeldPool pool({.threads = 1, .max_queued = 3, .max_queued_per_address = 2});
  EXPECT_TRUE(pool->Schedule("a", notes.Job("a1")));
  EXPECT_TRUE(pool->Schedule("a", notes.Job("a2")));
  EXPECT_FALSE(pool->Schedule("a", notes.Job("a3")));
  EXPECT_TRUE(pool->Schedule("b", notes.Job("b1")));
  EXPECT_FALSE(pool->Schedule("c", notes.Job("c1")));
  pool.Release();
  EXPECT_THAT(notes.Await(3), SizeIs(3));
  EXPECT_TRUE(pool->Schedule("c", notes.Job("c1")));
  EXPECT_THAT(notes.Await(4).back(), "c1");
}

TEST(DecoderPool, AnswersTakeNobodysPlace) {
  Notes notes;
  HeldPool pool({.threads = 1, .max_queued = 1, .max_queued_per_address = 1});
  for (const char* name : {"answer 1", "answer 2"}) {
    EXPECT_TRUE(pool->ScheduleAnswer("a", notes.Job(name)));
  }
  EXPECT_TRUE(pool->Schedule("a", notes.Job("request")));
  EXPECT_FALSE(pool->Schedule("a", notes.Job("one more")));
  pool.Release();
  EXPECT_THAT(notes.Await(3), ElementsAre("answer 1", "answer 2", "request"));
}

TEST(DecoderPool, WhatStillWaitsAtItsEndIsDropped) {
  const auto held = std::make_shared<int>(0);
  Notes notes;
  {
    HeldPool pool({.threads = 1});
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(pool->Schedule(absl::StrCat(i), [held] { (void)held; }));
    }
    EXPECT_GT(held.use_count(), 1);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(DecoderPool, OptionsHaveRanges) {
  EXPECT_THAT(DecoderPool::Create({.threads = 0}).status().ToString(),
              HasSubstr("decoder threads is 0, allowed: 1 to 256"));
  EXPECT_THAT(DecoderPool::Create({.max_queued = 0}).status().ToString(),
              HasSubstr("max_queued is 0"));
}

}  // namespace
}  // namespace diffusiond
