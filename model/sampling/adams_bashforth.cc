#include "model/sampling/adams_bashforth.h"

#include <cmath>
#include <cstddef>

namespace diffusiond {

double AdamsBashforthWeight(std::span<const double> nodes, double end, int back) {
  const size_t one = static_cast<size_t>(back);
  const double middle = (nodes[0] + end) / 2, half = (end - nodes[0]) / 2;
  double sum = 0;
  for (const double place : {-1 / std::sqrt(3.0), 1 / std::sqrt(3.0)}) {
    double value = 1;
    for (size_t k = 0; k < nodes.size(); ++k) {
      if (k == one) continue;
      value *= (middle + half * place - nodes[k]) / (nodes[one] - nodes[k]);
    }
    sum += half * value;
  }
  return sum;
}

}  // namespace diffusiond
