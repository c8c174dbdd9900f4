#include "server/engine/memory_budget.h"

#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "model/status/status_macros.h"
#include "server/engine/refusal.h"

namespace diffusiond {
namespace {

// Nobody knows how long those that hold memory take.
constexpr absl::Duration kRetry = absl::Seconds(1);

}  // namespace

struct MemoryBudget::State {
  explicit State(size_t bytes) : total(bytes) {}

  void GiveBack(const std::string& holder, size_t bytes) {
    absl::MutexLock lock(&mu);
    held -= bytes;
    const auto found = by_holder.find(holder);
    found->second -= bytes;
    if (found->second == 0) by_holder.erase(found);
  }

  const size_t total;
  absl::Mutex mu;
  size_t held ABSL_GUARDED_BY(mu) = 0;
  std::map<std::string, size_t> by_holder ABSL_GUARDED_BY(mu);
};

MemoryBudget::MemoryBudget(size_t bytes) : state_(std::make_shared<State>(bytes)) {}

absl::Status MemoryBudget::CheckFits(size_t bytes) const {
  const size_t most = state_->total / (kShare + 1) * kShare;
  if (bytes <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the request takes ", bytes,
                                                 " bytes while it waits, allowed: ", most,
                                                 ", three quarters of --max_waiting_bytes"));
}

absl::StatusOr<MemoryBudget::Hold> MemoryBudget::Take(const std::string& holder, size_t bytes) {
  if (bytes == 0) return Hold();
  RETURN_IF_ERROR(CheckFits(bytes));
  {
    absl::MutexLock lock(&state_->mu);
    const auto found = state_->by_holder.find(holder);
    const size_t own = found == state_->by_holder.end() ? 0 : found->second;
    const size_t free = state_->total - state_->held;
    if (bytes > free || (own + bytes) / kShare > free - bytes) {
      return Refusal(RefusalReason::kMemory,
                     absl::StrCat("requests that wait hold ", state_->held, " of ", state_->total,
                                  " bytes (--max_waiting_bytes), those of this address ", own,
                                  ": no room for ", bytes, " more"),
                     kRetry);
    }
    state_->held += bytes;
    state_->by_holder[holder] += bytes;
  }
  return Hold(state_.get(),
              [state = state_, holder, bytes](const void*) { state->GiveBack(holder, bytes); });
}

}  // namespace diffusiond
