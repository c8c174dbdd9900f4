// One seed, one world.
//
//   engine_simulation SEED|STORY                    lives through it, and tells of it
//   engine_simulation --shrink SEED|STORY           tells the shortest that breaks the promise
//   engine_simulation --seeds=N [--first_seed=K]    lives through many, and counts
#include <sys/time.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/simulation/shrink.h"
#include "tests/simulation/simulation.h"
#include "tests/simulation/states.h"
#include "tests/simulation/story.h"
#include "tests/simulation/world.h"

ABSL_FLAG(int64_t, seeds, 0, "worlds to live through");
ABSL_FLAG(int64_t, first_seed, 1, "of them; below 0: by the time, so that nobody has seen them");
ABSL_FLAG(bool, twice, false, "whether each is lived through twice, which must go the same way");
ABSL_FLAG(int, most_broken, 1, "worlds in which a promise is broken, before it ends");
ABSL_FLAG(bool, shrink, false, "whether to leave out what a broken promise does not need");

namespace diffusiond {
namespace {

uint64_t current_seed = 0;

// Of the processor, for one world, which takes a few milliseconds.
constexpr itimerval kLongest = {.it_interval = {}, .it_value = {.tv_sec = 20, .tv_usec = 0}};

// A world that crashes, or never ends, is told by its seed.
void OnCrash(int signal) {
  char text[80];
  const auto seed = static_cast<unsigned long long>(current_seed);
  const int size = signal == SIGPROF
                       ? std::snprintf(text, sizeof(text), "seed %llu: it never ends\n", seed)
                       : std::snprintf(text, sizeof(text), "seed %llu: signal %d\n", seed, signal);
  std::fwrite(text, 1, static_cast<size_t>(size), stdout);
  std::fflush(stdout);
  std::_Exit(1);
}

// Of a seed, or of a file that holds a story.
absl::StatusOr<World> WorldOf(const std::string& argument) {
  uint64_t seed = 0;
  if (absl::SimpleAtoi(argument, &seed)) return DrawWorld(seed);
  std::ifstream file(argument);
  if (!file) return absl::NotFoundError(absl::StrCat(argument, ": neither a seed nor a file"));
  return ParseStory(std::string(std::istreambuf_iterator<char>(file), {}));
}

int TellOne(const World& world) {
  current_seed = world.seed;
  std::cout << Story(world) << std::flush;
  const Outcome outcome = Simulate(world, stdout);
  absl::PrintF("seed %d: %s\ntrace %016x, %d steps, %d switches, %s\n", world.seed,
               outcome.broken.empty() ? "all promises kept" : outcome.broken, outcome.trace,
               outcome.steps, outcome.switches, absl::FormatDuration(outcome.lasted));
  return outcome.broken.empty() ? 0 : 1;
}

int TellShortest(const World& world) {
  const World shortest = Shrink(world);
  std::cout << Story(shortest) << "# " << BrokenIn(shortest) << "\n";
  return 0;
}

Outcome Live(uint64_t seed) {
  current_seed = seed;
  setitimer(ITIMER_PROF, &kLongest, nullptr);
  const World world = DrawWorld(seed);
  Outcome outcome = Simulate(world);
  if (outcome.broken.empty() && absl::GetFlag(FLAGS_twice) &&
      Simulate(world).trace != outcome.trace) {
    outcome.broken = "the same again: the second time it went another way";
  }
  return outcome;
}

// Whether so many worlds reached what they should.
bool ReachesAll(const std::map<std::string_view, int>& reached, int64_t worlds) {
  if (worlds < kWorldsForAllStates) return true;
  for (const std::string_view state : kStates) {
    if (!reached.contains(state)) absl::PrintF("no world reaches the state: %s\n", state);
  }
  return reached.size() == std::size(kStates);
}

int LiveMany(uint64_t first, int64_t count) {
  const auto began = std::chrono::steady_clock::now();
  std::map<std::string_view, int> reached;
  int64_t steps = 0;
  int broken = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t seed = first + static_cast<uint64_t>(i);
    const Outcome outcome = Live(seed);
    steps += outcome.steps;
    for (const std::string_view state : outcome.reached) ++reached[state];
    if (outcome.broken.empty()) continue;
    absl::PrintF("seed %d: %s\n", seed, outcome.broken);
    std::fflush(stdout);
    if (++broken >= absl::GetFlag(FLAGS_most_broken)) return 1;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  for (const auto& [state, times] : reached) absl::PrintF("%8d  %s\n", times, state);
  absl::PrintF("%d seeds, %d steps, %.1f s, %.0f seeds/s\n", count, steps, took.count(),
               static_cast<double>(count) / took.count());
  return broken == 0 && ReachesAll(reached, count) ? 0 : 1;
}

int Run(const std::vector<char*>& arguments) {
  for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGPROF}) std::signal(signal, OnCrash);
  const int64_t count = absl::GetFlag(FLAGS_seeds);
  if (count > 0) {
    int64_t first = absl::GetFlag(FLAGS_first_seed);
    if (first < 0) first = absl::ToUnixMillis(absl::Now());
    absl::PrintF("seeds from %d\n", first);
    std::fflush(stdout);  // Known also if it is killed.
    return LiveMany(static_cast<uint64_t>(first), count);
  }
  if (arguments.size() != 2) {
    std::cerr << "usage: engine_simulation [--shrink] SEED|STORY | --seeds=N [--first_seed=K]\n";
    return 2;
  }
  const absl::StatusOr<World> world = WorldOf(arguments[1]);
  if (!world.ok()) {
    std::cerr << world.status().message() << "\n";
    return 2;
  }
  return absl::GetFlag(FLAGS_shrink) ? TellShortest(*world) : TellOne(*world);
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) { return diffusiond::Run(absl::ParseCommandLine(argc, argv)); }
