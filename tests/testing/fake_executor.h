// A device without a network: runs plans for real, on a few floats, with F = -x.
#ifndef DIFFUSIOND_TESTS_TESTING_FAKE_EXECUTOR_H_
#define DIFFUSIOND_TESTS_TESTING_FAKE_EXECUTOR_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "server/engine/step_executor.h"

namespace diffusiond {

// Counts registers, so that a test can ask whether all were given back. Thread-safe.
class RegisterLedger {
 public:
  void Create() { Change(1, 0); }
  void Release() { Change(0, 1); }
  int created() const;
  int alive() const;
  void AwaitCreated(int count) const;
  void AwaitNoneAlive() const;

 private:
  void Change(int created, int released);

  mutable absl::Mutex mu_;
  int created_ ABSL_GUARDED_BY(mu_) = 0;
  int released_ ABSL_GUARDED_BY(mu_) = 0;
};

// A step's task as an executor saw it.
struct SeenTask {
  uint64_t seed = 0;
  uint32_t image_index = 0;
  int plan_row = 0;
  int passes = 1;
  bool wants_x_t = false;
  bool wants_x0_hat = false;
  friend bool operator==(const SeenTask&, const SeenTask&) = default;
};
SeenTask Seen(const StepTask& task);
std::vector<SeenTask> Seen(absl::Span<const StepTask> tasks);

// F = -x, plus class_id / 8 for a class; guided tasks mix as classifier-free guidance does. Also
// holds the engine to its contract: a batch within the capacity, plan rows in order, registers
// handed on: anything else is a test failure.
class FakeExecutor : public StepExecutor {
 public:
  struct Options {
    int capacity = 8;
    int micro_batch = 4;
    int channels = 1;
    int height = 2;
    int width = 2;
    // A task for which this is not OK fails alone. Null: none does.
    std::function<absl::Status(const StepTask&)> task_fault;
    // A step for which this is not OK, or throws, fails whole, before anything is computed.
    std::function<absl::Status(absl::Span<const StepTask>)> step_fault;
    std::shared_ptr<RegisterLedger> ledger;  // Null: one of its own.
  };

  explicit FakeExecutor(Options options);
  FakeExecutor() : FakeExecutor(Options()) {}

  int capacity() const override { return options_.capacity; }
  int micro_batch() const override { return options_.micro_batch; }
  absl::Status Step(absl::Span<StepTask> tasks) override;

  const RegisterLedger& ledger() const { return *options_.ledger; }

  // What Step makes of this spec when it is alone: the image that every crowd must give too.
  Frame DrawAlone(const TrajectorySpec& spec) const;

 private:
  void StepOne(StepTask& task) const;

  const Options options_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_FAKE_EXECUTOR_H_
