// Compiled sampling plans of one model, kept for the next request that asks for the same.
#ifndef DIFFUSIOND_SERVER_RPC_PLAN_CACHE_H_
#define DIFFUSIOND_SERVER_RPC_PLAN_CACHE_H_

#include <functional>
#include <list>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "model/sampling/sampler.h"
#include "model/sampling/sampling_plan.h"

namespace diffusiond {

using PlanCompiler = std::function<absl::StatusOr<SamplingPlan>(const SamplingOptions&)>;

// Thread-safe. Plans handed out live on after they leave the cache.
class PlanCache {
 public:
  // A plan of 1,000 rows takes 0.2 to 0.6 MB, so a full cache of them up to 40 MB, and of the
  // longest plans that there are (Langevin's, of 10,000 rows) up to 120 MB.
  static constexpr int kDefaultCapacity = 64;

  // `compile` must be thread-safe. At most `capacity` (at least 1) plans are kept; the one not
  // asked for the longest goes first.
  explicit PlanCache(PlanCompiler compile, int capacity = kDefaultCapacity);

  // The compiler's error if it refuses; errors are not kept.
  absl::StatusOr<std::shared_ptr<const SamplingPlan>> Get(const SamplingOptions& options);

 private:
  struct Hash {
    size_t operator()(const SamplingOptions& options) const;
  };
  using Entry = std::pair<SamplingOptions, std::shared_ptr<const SamplingPlan>>;

  const PlanCompiler compile_;
  const size_t capacity_;
  absl::Mutex mu_;
  std::list<Entry> by_use_ ABSL_GUARDED_BY(mu_);  // Latest first.
  absl::flat_hash_map<SamplingOptions, std::list<Entry>::iterator, Hash> index_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_PLAN_CACHE_H_
