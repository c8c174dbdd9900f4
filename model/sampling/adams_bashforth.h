// Linear multistep weights on unequal steps (Hairer, Norsett and Wanner 1993, section III.5).
#ifndef DIFFUSIOND_MODEL_SAMPLING_ADAMS_BASHFORTH_H_
#define DIFFUSIOND_MODEL_SAMPLING_ADAMS_BASHFORTH_H_

#include <span>

namespace diffusiond {

// 4: Gauss's rule with two nodes, by which the weights are taken, is exact for degree 3.
inline constexpr int kMaxAdamsBashforthOrder = 4;

// The integral from nodes[0] to `end` of the polynomial that is 1 at nodes[back] and 0 at the
// others. Nodes are distinct, the latest first, at most kMaxAdamsBashforthOrder.
double AdamsBashforthWeight(std::span<const double> nodes, double end, int back);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_SAMPLING_ADAMS_BASHFORTH_H_
