// Lives through a world: the real engine, supervisor, workers and listeners, on fibers.
#ifndef DIFFUSIOND_TESTS_SIMULATION_SIMULATION_H_
#define DIFFUSIOND_TESTS_SIMULATION_SIMULATION_H_

#include <cstdint>
#include <cstdio>
#include <set>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "tests/simulation/world.h"

namespace diffusiond {

struct Outcome {
  std::string broken;                  // The promise that was, and how; empty: none.
  uint64_t trace = 0;                  // Of all that happened. Equal worlds give equal traces.
  std::set<std::string_view> reached;  // Of kStates.
  int64_t steps = 0, switches = 0;
  absl::Duration lasted;
};

// Single-threaded. `log`: where everything is written as it happens. After a broken promise the
// threads of the world are left where they stood, with all that they hold: for a few worlds of one
// process.
Outcome Simulate(const World& world, std::FILE* log = nullptr);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SIMULATION_SIMULATION_H_
