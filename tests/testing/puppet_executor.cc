#include "tests/testing/puppet_executor.h"

namespace diffusiond {

std::vector<SeenTask> PuppetExecutor::AwaitStep() {
  const std::shared_ptr<Strings> strings = strings_;
  const auto begun = [&strings]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return strings->begun > strings->awaited;
  };
  absl::MutexLock lock(&strings->mu);
  strings->mu.Await(absl::Condition(&begun));
  strings->awaited = strings->begun;
  return strings->tasks;
}

void PuppetExecutor::Release() {
  const std::shared_ptr<Strings> strings = strings_;
  absl::MutexLock lock(&strings->mu);
  ++strings->released;
}

void PuppetExecutor::ReleaseAll() {
  const std::shared_ptr<Strings> strings = strings_;
  absl::MutexLock lock(&strings->mu);
  strings->free = true;
}

absl::Status PuppetExecutor::Step(absl::Span<StepTask> tasks) {
  const std::shared_ptr<Strings> strings = strings_;
  {
    absl::MutexLock lock(&strings->mu);
    strings->tasks = Seen(tasks);
    const int mine = ++strings->begun;
    const auto released = [&strings, mine]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return strings->free || strings->released >= mine;
    };
    strings->mu.Await(absl::Condition(&released));
  }
  return fake_.Step(tasks);
}

}  // namespace diffusiond
