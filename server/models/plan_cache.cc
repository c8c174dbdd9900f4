#include "server/models/plan_cache.h"

#include <algorithm>

#include "absl/hash/hash.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

size_t BytesOf(const SamplingPlan& plan) {
  size_t bytes = sizeof(plan) + plan.rows.capacity() * sizeof(PlanRow);
  for (const PlanRow& row : plan.rows) bytes += row.update.capacity() * sizeof(double);
  return bytes;
}

}  // namespace

PlanCache::PlanCache(PlanCompiler compile, int capacity)
    : compile_(std::move(compile)), capacity_(std::max(capacity, 1)) {}

size_t PlanCache::Hash::operator()(const SamplingOptions& o) const { return absl::HashOf(o); }

absl::StatusOr<std::shared_ptr<const SamplingPlan>> PlanCache::Get(const SamplingOptions& options) {
  {
    absl::MutexLock lock(&mu_);
    const auto found = index_.find(options);
    if (found != index_.end()) {
      by_use_.splice(by_use_.begin(), by_use_, found->second);
      return found->second->plan;
    }
  }
  // Without the lock: other requests need not wait for this compilation. Two requests may compile
  // the same plan at once; the plans are equal and one of them is kept.
  ASSIGN_OR_RETURN(SamplingPlan compiled, compile_(options));
  auto plan = std::make_shared<const SamplingPlan>(std::move(compiled));

  absl::MutexLock lock(&mu_);
  if (index_.contains(options)) return plan;
  by_use_.push_front({.options = options, .plan = plan});
  index_[options] = by_use_.begin();
  bytes_ += BytesOf(*plan);
  while (by_use_.size() > capacity_ || (bytes_ > kMaxBytes && by_use_.size() > 1)) ForgetOldest();
  return plan;
}

void PlanCache::ForgetOldest() {
  const Entry& oldest = by_use_.back();
  bytes_ -= BytesOf(*oldest.plan);
  index_.erase(oldest.options);
  by_use_.pop_back();
}

absl::StatusOr<std::shared_ptr<const SamplingPlan>> PlanCache::Borrow(
    const SamplingOptions& options, MemoryBudget& budget, const std::string& holder) {
  struct Borrowed {
    std::shared_ptr<const SamplingPlan> plan;
    MemoryBudget::Hold hold;
  };
  ASSIGN_OR_RETURN(std::shared_ptr<const SamplingPlan> plan, Get(options));
  absl::MutexLock lock(&mu_);
  const auto found = index_.find(options);
  const bool is_kept = found != index_.end() && found->second->plan == plan;
  if (is_kept) {
    if (std::shared_ptr<const SamplingPlan> shared = found->second->borrowed.lock()) return shared;
  }
  ASSIGN_OR_RETURN(MemoryBudget::Hold hold, budget.Take(holder, BytesOf(*plan)));
  const auto borrowed = std::make_shared<Borrowed>(Borrowed{plan, std::move(hold)});
  std::shared_ptr<const SamplingPlan> with_bytes(borrowed, plan.get());
  if (is_kept) found->second->borrowed = with_bytes;
  return with_bytes;
}

}  // namespace diffusiond
