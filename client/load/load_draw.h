// Random numbers of a load plan: the standard fixes std::mt19937_64's bits but not what its
// distributions make of them, so these are our own.
#ifndef DIFFUSIOND_CLIENT_LOAD_LOAD_DRAW_H_
#define DIFFUSIOND_CLIENT_LOAD_LOAD_DRAW_H_

#include <cmath>
#include <cstdint>
#include <random>

namespace diffusiond {

// In [0, 1), of 53 bits.
inline double DrawUniform(std::mt19937_64& bits) {
  return static_cast<double>(bits() >> 11) * 0x1p-53;
}

inline double DrawExponential(double mean, std::mt19937_64& bits) {
  return -mean * std::log1p(-DrawUniform(bits));
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_LOAD_LOAD_DRAW_H_
