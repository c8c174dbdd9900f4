// A world as text, which people can read and engine_simulation can live through again.
#ifndef DIFFUSIOND_TESTS_SIMULATION_STORY_H_
#define DIFFUSIOND_TESTS_SIMULATION_STORY_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tests/simulation/world.h"

namespace diffusiond {

// One line for each thing, of which what is as usual is left out:
//
//   world seed=47 devices=1 frame_threads=1
//   model micro_batch=1 capacity=3 step=10ms
//   request at=0 steps=12 preview_every=1 preview=both encode=25ms
std::string Story(const World& world);

// The other way round. Lines that begin with '#' are passed over.
absl::StatusOr<World> ParseStory(absl::string_view story);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SIMULATION_STORY_H_
