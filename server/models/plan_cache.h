// Compiled sampling plans of one model, kept for the next request that asks for the same.
#ifndef DIFFUSIOND_SERVER_MODELS_PLAN_CACHE_H_
#define DIFFUSIOND_SERVER_MODELS_PLAN_CACHE_H_

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "model/sampling/sampler.h"
#include "model/sampling/sampling_plan.h"
#include "server/engine/memory_budget.h"

namespace diffusiond {

using PlanCompiler = std::function<absl::StatusOr<SamplingPlan>(const SamplingOptions&)>;

// Thread-safe. Plans handed out live on after they leave the cache.
class PlanCache {
 public:
  static constexpr int kDefaultCapacity = 64;
  // A plan of 1,000 rows takes 0.2 to 0.6 MB, the longest that there are (Langevin's, of 10,000
  // rows) 2 MB. The newest stays, whatever it takes.
  static constexpr size_t kMaxBytes = size_t{16} << 20;

  // `compile` must be thread-safe. At most `capacity` (at least 1) plans are kept; the one not
  // asked for the longest goes first.
  explicit PlanCache(PlanCompiler compile, int capacity = kDefaultCapacity);

  // The compiler's error if it refuses; errors are not kept.
  absl::StatusOr<std::shared_ptr<const SamplingPlan>> Get(const SamplingOptions& options);

  // As Get. The plan's bytes are held of `budget`, on behalf of the first `holder`, for as long as
  // somebody has it who asked in this way. Or the budget's refusal.
  absl::StatusOr<std::shared_ptr<const SamplingPlan>> Borrow(const SamplingOptions& options,
                                                             MemoryBudget& budget,
                                                             const std::string& holder);

 private:
  struct Hash {
    size_t operator()(const SamplingOptions& options) const;
  };
  struct Entry {
    SamplingOptions options;
    std::shared_ptr<const SamplingPlan> plan;
    std::weak_ptr<const SamplingPlan> borrowed = {};  // The same, with its bytes.
  };

  void ForgetOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const PlanCompiler compile_;
  const size_t capacity_;
  absl::Mutex mu_;
  std::list<Entry> by_use_ ABSL_GUARDED_BY(mu_);  // Latest first.
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<SamplingOptions, std::list<Entry>::iterator, Hash> index_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_MODELS_PLAN_CACHE_H_
