#include "model/cpu_network/arena.h"

#include <algorithm>

namespace diffusiond {

Slot ArenaPlan::Take(size_t height, size_t width, size_t channels) {
  Slot slot = {.offset = 0, .height = height, .width = width, .channels = channels};
  for (const auto& [offset, held] : held_) {
    if (slot.offset + slot.floats() <= offset) break;
    slot.offset = held.end;
  }
  held_[slot.offset] = {.end = slot.offset + slot.floats()};
  floats_ = std::max(floats_, slot.offset + slot.floats());
  return slot;
}

void ArenaPlan::Hold(const Slot& slot) { ++held_.at(slot.offset).times; }

void ArenaPlan::Release(const Slot& slot) {
  if (--held_.at(slot.offset).times == 0) held_.erase(slot.offset);
}

}  // namespace diffusiond
