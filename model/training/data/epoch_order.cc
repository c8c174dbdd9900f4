#include "model/training/data/epoch_order.h"

#include <bit>
#include <cassert>
#include <cstddef>
#include <numeric>
#include <utility>

namespace diffusiond {
namespace {

// SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t state) : state_(state) {}

  uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  // Uniform in [0, bound), bound at least 1: draws as many bits as the bound has, until one fits.
  uint64_t Below(uint64_t bound) {
    const int shift = std::countl_zero((bound - 1) | 1);
    while (true) {
      const uint64_t value = Next() >> shift;
      if (value < bound) return value;
    }
  }

 private:
  uint64_t state_;
};

}  // namespace

EpochOrder::EpochOrder(int64_t size, uint64_t seed) : seed_(seed), order_(size) {
  assert(size >= 1);
}

int64_t EpochOrder::At(int64_t position) {
  assert(position >= 0);
  const int64_t size = static_cast<int64_t>(order_.size());
  if (const int64_t epoch = position / size; epoch != epoch_) Shuffle(epoch);
  return order_[position % size];
}

void EpochOrder::Shuffle(int64_t epoch) {
  // Mixed twice, so that (seed, epoch + 1) is not (seed + 1, epoch) one draw on.
  SplitMix64 seeds(seed_);
  SplitMix64 random(seeds.Next() + static_cast<uint64_t>(epoch));
  random = SplitMix64(random.Next());
  std::iota(order_.begin(), order_.end(), 0);
  for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random.Below(i)]);
  epoch_ = epoch;
}

}  // namespace diffusiond
