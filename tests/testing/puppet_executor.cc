#include "tests/testing/puppet_executor.h"

namespace diffusiond {

std::vector<SeenRow> PuppetExecutor::AwaitStep() {
  absl::MutexLock lock(&mu_);
  const auto begun = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return begun_ > awaited_; };
  mu_.Await(absl::Condition(&begun));
  awaited_ = begun_;
  return rows_;
}

void PuppetExecutor::Release() {
  absl::MutexLock lock(&mu_);
  ++released_;
}

void PuppetExecutor::ReleaseAll() {
  absl::MutexLock lock(&mu_);
  free_ = true;
}

absl::Status PuppetExecutor::Step(absl::Span<StepRow> rows) {
  {
    absl::MutexLock lock(&mu_);
    rows_ = Seen(rows);
    const int mine = ++begun_;
    const auto released = [this, mine]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return free_ || released_ >= mine;
    };
    mu_.Await(absl::Condition(&released));
  }
  return fake_.Step(rows);
}

}  // namespace diffusiond
