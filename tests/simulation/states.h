// What some world must reach, or promises are kept for want of a world that tries them.
#ifndef DIFFUSIOND_TESTS_SIMULATION_STATES_H_
#define DIFFUSIOND_TESTS_SIMULATION_STATES_H_

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string_view>

namespace diffusiond {

inline constexpr std::string_view kStates[] = {
    "a batch holds different rows",
    "a cancel comes between the last step and the encoder",
    "a cancel comes while a frame is being encoded",
    "a cancel comes while a row is being done",
    "a deadline is met by less than a millisecond",
    "a device is not built again",
    "a device that was given less is given more",
    "a device without memory is given less",
    "a model is rolled back",
    "a preview is dropped",
    "a near deadline comes to an idle machine",
    "a promised deadline is kept",
    "a refused client comes back",
    "a request goes before one that came earlier",
    "a request has moved up a class",
    "a row is done again after a worker was given up",
    "a row is not finite beside others that are",
    "a share is full",
    "a swap after the server is told to end",
    "a swap while a request is drawn",
    "a version comes back while it drains",
    "a version is refused",
    "a version waits until an older one is gone",
    "a worker comes back with a batch that is no longer its own",
    "a worker leaves with a batch in its hands",
    "a worker that was given up is at a row beside another",
    "an image goes on on another worker",
    "an image may not begin beside an idle worker",
    "an image's step fails three times in a row",
    "no worker is left of several",
    "the queue is full to the last place",
    "the server ends before all is drawn",
    "the server is told to end while work is left",
    "two share for ten batches and more",
    "two workers are lost at once",
    "what has begun lets other work go first",
    "what is left is drawn after the server is told to end",
};

// So many worlds reach every state: the rarest is reached by one of 600.
inline constexpr int kWorldsForAllStates = 10'000;

// One of them. What is not in the list does not compile.
class State {
 public:
  consteval State(const char* name)  // NOLINT(google-explicit-constructor): a name is a state.
      : name_(name) {
    if (std::find(std::begin(kStates), std::end(kStates), name_) == std::end(kStates)) std::abort();
  }
  std::string_view name() const { return name_; }

 private:
  std::string_view name_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SIMULATION_STATES_H_
