// A device that moves only when the test pulls.
#ifndef DIFFUSIOND_TESTS_TESTING_PUPPET_EXECUTOR_H_
#define DIFFUSIOND_TESTS_TESTING_PUPPET_EXECUTOR_H_

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/testing/fake_executor.h"

namespace diffusiond {

// A FakeExecutor whose Step blocks until the test lets it go. The test's side is thread-safe.
class PuppetExecutor : public StepExecutor {
 public:
  explicit PuppetExecutor(FakeExecutor::Options options = {}) : fake_(std::move(options)) {}

  // Waits until a step has begun that was not awaited yet, and returns its tasks. It stays blocked.
  std::vector<SeenTask> AwaitStep();

  // Lets the step that is blocked, or else the next one, go on.
  void Release();

  // Lets every step go on from now on.
  void ReleaseAll();

  const FakeExecutor& fake() const { return fake_; }

  int capacity() const override { return fake_.capacity(); }
  int micro_batch() const override { return fake_.micro_batch(); }
  absl::Status Step(absl::Span<StepTask> tasks) override;

 private:
  // Shared with calls that run: a worker that was given up destroys its puppet as soon as it is let
  // go, while ReleaseAll is still on its way out.
  struct Strings {
    absl::Mutex mu;
    std::vector<SeenTask> tasks ABSL_GUARDED_BY(mu);
    int begun ABSL_GUARDED_BY(mu) = 0;
    int awaited ABSL_GUARDED_BY(mu) = 0;
    int released ABSL_GUARDED_BY(mu) = 0;
    bool free ABSL_GUARDED_BY(mu) = false;
  };

  FakeExecutor fake_;
  const std::shared_ptr<Strings> strings_ = std::make_shared<Strings>();
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_PUPPET_EXECUTOR_H_
