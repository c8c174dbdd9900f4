// The numbers that a seed gives, the same on every machine.
#ifndef DIFFUSIOND_TESTS_SIMULATION_DICE_H_
#define DIFFUSIOND_TESTS_SIMULATION_DICE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace diffusiond {

// SplitMix64 (Steele, Lea and Flood 2014).
inline uint64_t Mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(Mix(seed)) {}

  uint64_t Next() { return Mix(state_++); }
  double Part() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }  // 0 .. 1, without 1.
  bool Chance(double chance) { return Part() < chance; }
  int Int(int low, int high) {  // Both included.
    return low + static_cast<int>(Next() % static_cast<uint64_t>(high - low + 1));
  }
  double Double(double low, double high) { return low + Part() * (high - low); }
  template <typename T>
  const T& Of(const std::vector<T>& values) {
    return values[Next() % values.size()];
  }

 private:
  uint64_t state_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SIMULATION_DICE_H_
