// One client: asks, comes back when it is refused, reads at its own pace, and may go away.
#ifndef DIFFUSIOND_TESTS_SIMULATION_CLIENT_H_
#define DIFFUSIOND_TESTS_SIMULATION_CLIENT_H_

#include <memory>
#include <string>

#include "server/engine/engine.h"
#include "tests/simulation/fibers.h"
#include "tests/simulation/promises.h"
#include "tests/simulation/unwatched.h"
#include "tests/simulation/world.h"

namespace diffusiond {

// What a request finds to run on.
struct ServedVersion {
  std::string key;
  int version = 0;
  std::shared_ptr<const void> lease = nullptr;  // Held until the engine is done with the request.
};

// Runs until the client has what it wanted, or has given up. `model` finds what is served now.
void RunClient(const World::Request& request, Engine* engine, Fibers* fibers,
               UnwatchedPtr<Promises> promises, const std::function<ServedVersion()>& model);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SIMULATION_CLIENT_H_
