// From a world in which a promise is broken to the smallest one in which it still is.
#ifndef DIFFUSIOND_TESTS_SIMULATION_SHRINK_H_
#define DIFFUSIOND_TESTS_SIMULATION_SHRINK_H_

#include <string>

#include "tests/simulation/world.h"

namespace diffusiond {

// Lives through a world in a process of its own. The promise that was broken, or the signal that
// ended it; empty: all were kept.
std::string BrokenIn(const World& world);

// Leaves out events and makes what is left more ordinary, as long as the same promise is broken.
World Shrink(World world);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SIMULATION_SHRINK_H_
