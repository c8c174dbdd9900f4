// What a network is told beside the image: timestep and class.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_TIME_LAYERS_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_TIME_LAYERS_H_

#include <cstddef>
#include <vector>

#include "model/cpu_network/layer.h"

namespace diffusiond {

// sin and cos of t * 10000^(-i / (half - freq_shift)), in double precision, rounded once (DDPM
// section B, "Attention Is All You Need" section 3.5).
class SinusoidLayer : public Layer {
 public:
  SinusoidLayer(const Slot& out, bool flip_sin_to_cos, size_t freq_shift);
  void Run(const LayerRun& run) const override;

 private:
  const Slot out_;
  const bool flip_sin_to_cos_;
  std::vector<double> frequencies_;
};

// SiLU in place, of x plus the class's vector where there are classes.
class EmbeddingSiluLayer : public Layer {
 public:
  EmbeddingSiluLayer(const Slot& x, std::vector<float> classes)
      : x_(x), classes_(std::move(classes)) {}
  void Run(const LayerRun& run) const override;

 private:
  const Slot x_;
  const std::vector<float> classes_;  // [class][channels]; empty: none.
};

// The same on every machine, by fused multiply-adds alone: within an ulp or two, of |x| up to a
// million or so.
double FusedExp(double x);
double FusedSin(double x);
double FusedCos(double x);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_TIME_LAYERS_H_
