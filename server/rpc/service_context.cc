#include "server/rpc/service_context.h"

#include <random>

namespace diffusiond {

uint64_t RandomNumber() {
  std::random_device entropy;
  return (static_cast<uint64_t>(entropy()) << 32) | entropy();
}

}  // namespace diffusiond
