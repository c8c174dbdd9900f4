#include "server/idle_trim.h"

#include <deque>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using Calls = IdleTrim::Options::Calls;

// Plays back what looks see, the last for ever, and notes how many had been seen at each trim.
class Script {
 public:
  Script(std::deque<Calls> looks, int busy_looks)
      : busy_looks_(busy_looks), looks_(std::move(looks)) {}

  IdleTrim::Options Options() {
    return {.look_every = absl::Milliseconds(1),
            .busy_looks = busy_looks_,
            .calls = [this] { return Next(); },
            .trim = [this] { Trim(); }};
  }
  void AwaitEnd() {
    const auto ended = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return after_end_ >= 5; };
    absl::MutexLock lock(&mu_, absl::Condition(&ended));
  }
  std::deque<int64_t> trims() {
    absl::MutexLock lock(&mu_);
    return trims_;
  }

 private:
  Calls Next() {
    absl::MutexLock lock(&mu_);
    if (looks_.size() > 1) {
      last_ = looks_.front();
      looks_.pop_front();
      return last_;
    }
    ++after_end_;
    last_ = looks_.front();
    return last_;
  }
  void Trim() {
    absl::MutexLock lock(&mu_);
    trims_.push_back(last_.seen);
  }

  const int busy_looks_;
  absl::Mutex mu_;
  std::deque<Calls> looks_ ABSL_GUARDED_BY(mu_);
  Calls last_ ABSL_GUARDED_BY(mu_);
  int after_end_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<int64_t> trims_ ABSL_GUARDED_BY(mu_);
};

std::deque<int64_t> TrimsOf(std::deque<Calls> looks, int busy_looks = 1000) {
  Script script(std::move(looks), busy_looks);
  IdleTrim trim(script.Options());
  script.AwaitEnd();
  return script.trims();
}

TEST(IdleTrim, OnceAfterCallsHaveEnded) {
  EXPECT_EQ(TrimsOf({{0, 0}, {3, 2}, {3, 1}, {3, 0}}), std::deque<int64_t>({3}));
}

TEST(IdleTrim, NotWhileCallsComeOrRun) {
  EXPECT_EQ(TrimsOf({{1, 0}, {2, 0}, {3, 0}, {4, 1}}), std::deque<int64_t>());
}

TEST(IdleTrim, AgainAfterMoreCalls) {
  EXPECT_EQ(TrimsOf({{1, 0}, {1, 0}, {1, 0}, {5, 1}, {5, 0}, {5, 0}}), std::deque<int64_t>({1, 5}));
}

TEST(IdleTrim, NowAndThenWhereCallsNeverCease) {
  EXPECT_EQ(TrimsOf({{1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}, {7, 1}}, 3),
            std::deque<int64_t>({3, 6, 7}));
}

TEST(IdleTrim, AgainWhenCallsEndAfterATrimBesideThem) {
  EXPECT_EQ(TrimsOf({{1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 0}}, 3), std::deque<int64_t>({1, 1}));
}

TEST(IdleTrim, NeverWithoutACall) { EXPECT_EQ(TrimsOf({{0, 0}}), std::deque<int64_t>()); }

}  // namespace
}  // namespace diffusiond
