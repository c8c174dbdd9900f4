// Bytes that requests hold while they wait and run: start pictures, masks, noise, plans, answers.
#ifndef DIFFUSIOND_SERVER_ENGINE_MEMORY_BUDGET_H_
#define DIFFUSIOND_SERVER_ENGINE_MEMORY_BUDGET_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace diffusiond {

// Thread-safe.
class MemoryBudget {
 public:
  // Gives its bytes back when the last copy goes, also after the budget went. Null: none are held.
  using Hold = std::shared_ptr<const void>;

  explicit MemoryBudget(size_t bytes);

  // INVALID_ARGUMENT: one holder may never have as many at once.
  absl::Status CheckFits(size_t bytes) const;

  // For `holder`, who may hold at most kShare times what is left free then: one alone three
  // quarters, two three sevenths each, and there is always something for one more.
  // A Refusal: not now. INVALID_ARGUMENT: as CheckFits.
  absl::StatusOr<Hold> Take(const std::string& holder, size_t bytes);

  static constexpr size_t kShare = 3;

 private:
  struct State;

  const std::shared_ptr<State> state_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_MEMORY_BUDGET_H_
