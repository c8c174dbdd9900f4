// Where a network's activations lie: planned once, so that a step allocates nothing.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_ARENA_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_ARENA_H_

#include <cstddef>
#include <map>

#include "model/cpu_network/kernels.h"

namespace diffusiond {

// One activation of an image, at `offset` floats of the image's arena: [height][width][stride()].
struct Slot {
  size_t offset = 0;
  size_t height = 1, width = 1;
  size_t channels = 0;  // 0: there is none.

  size_t stride() const { return WholePanels(channels); }
  size_t pixels() const { return height * width; }
  size_t floats() const { return pixels() * stride(); }
};

// Gives out slots that do not overlap while they are held. Thread-compatible.
class ArenaPlan {
 public:
  // Held once.
  Slot Take(size_t height, size_t width, size_t channels);
  // Once more, and once less.
  void Hold(const Slot& slot);
  void Release(const Slot& slot);

  // What all that was ever held at once needs.
  size_t floats() const { return floats_; }

 private:
  struct Held {
    size_t end = 0;
    int times = 1;
  };
  std::map<size_t, Held> held_;  // By offset.
  size_t floats_ = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_ARENA_H_
