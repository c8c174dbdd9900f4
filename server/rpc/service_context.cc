#include "server/rpc/service_context.h"

#include "absl/random/random.h"

namespace diffusiond {

uint64_t RandomNumber() {
  // Seeded by the system once a thread: to ask it each time took an eighth of what a refused call
  // costs.
  thread_local absl::BitGen bits;
  return absl::Uniform<uint64_t>(bits);
}

}  // namespace diffusiond
