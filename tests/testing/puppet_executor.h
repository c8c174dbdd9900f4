// A device that moves only when the test pulls.
#ifndef DIFFUSIOND_TESTS_TESTING_PUPPET_EXECUTOR_H_
#define DIFFUSIOND_TESTS_TESTING_PUPPET_EXECUTOR_H_

#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/testing/fake_executor.h"

namespace diffusiond {

// A FakeExecutor whose Step blocks until the test lets it go. The test's side is thread-safe.
class PuppetExecutor : public StepExecutor {
 public:
  explicit PuppetExecutor(FakeExecutor::Options options = {}) : fake_(std::move(options)) {}

  // Waits until a step has begun that was not awaited yet, and returns its rows. It stays blocked.
  std::vector<SeenRow> AwaitStep() ABSL_LOCKS_EXCLUDED(mu_);

  // Lets the step that is blocked, or else the next one, go on.
  void Release() ABSL_LOCKS_EXCLUDED(mu_);

  // Lets every step go on from now on.
  void ReleaseAll() ABSL_LOCKS_EXCLUDED(mu_);

  const FakeExecutor& fake() const { return fake_; }

  int capacity() const override { return fake_.capacity(); }
  int micro_batch() const override { return fake_.micro_batch(); }
  absl::Status Step(absl::Span<StepRow> rows) override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  FakeExecutor fake_;
  absl::Mutex mu_;
  std::vector<SeenRow> rows_ ABSL_GUARDED_BY(mu_);
  int begun_ ABSL_GUARDED_BY(mu_) = 0;
  int awaited_ ABSL_GUARDED_BY(mu_) = 0;
  int released_ ABSL_GUARDED_BY(mu_) = 0;
  bool free_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_PUPPET_EXECUTOR_H_
