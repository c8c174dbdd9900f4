#include "server/rpc/plan_cache.h"

#include <algorithm>

#include "absl/hash/hash.h"

namespace diffusiond {

PlanCache::PlanCache(PlanCompiler compile, int capacity)
    : compile_(std::move(compile)), capacity_(std::max(capacity, 1)) {}

size_t PlanCache::Hash::operator()(const SamplingOptions& o) const { return absl::HashOf(o); }

absl::StatusOr<std::shared_ptr<const SamplingPlan>> PlanCache::Get(const SamplingOptions& options) {
  {
    absl::MutexLock lock(&mu_);
    const auto found = index_.find(options);
    if (found != index_.end()) {
      by_use_.splice(by_use_.begin(), by_use_, found->second);
      return found->second->second;
    }
  }
  // Without the lock: other requests need not wait for this compilation. Two requests may compile
  // the same plan at once; the plans are equal and one of them is kept.
  absl::StatusOr<SamplingPlan> compiled = compile_(options);
  if (!compiled.ok()) return compiled.status();
  auto plan = std::make_shared<const SamplingPlan>(*std::move(compiled));

  absl::MutexLock lock(&mu_);
  if (index_.contains(options)) return plan;
  by_use_.emplace_front(options, plan);
  index_[options] = by_use_.begin();
  if (by_use_.size() > capacity_) {
    index_.erase(by_use_.back().first);
    by_use_.pop_back();
  }
  return plan;
}

}  // namespace diffusiond
