#include "model/cpu_network/training_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/cpu_network/training_kernels.cc"
#include "hwy/foreach_target.h"  // Includes this file once for each instruction set.
//
#include "hwy/highway.h"
#include "model/cpu_network/gradient-inl.h"
#include "model/cpu_network/packed_weights.h"

#if HWY_ONCE
namespace diffusiond {
namespace {

// G in single precision, [6][3].
class SingleTransform {
 public:
  SingleTransform() {
    for (size_t i = 0; i < kKernelTransformF4.size(); ++i) {
      std::copy(kKernelTransformF4[i].begin(), kKernelTransformF4[i].end(), g_[i]);
    }
  }
  const float (*g() const)[3] { return g_; }

 private:
  float g_[6][3] = {{}, {}, {}, {}, {}, {0, 0, 1}};
};

const SingleTransform& Transform() {
  static const SingleTransform transform;
  return transform;
}

}  // namespace

HWY_EXPORT(Turn);
HWY_EXPORT(PackKernels);
HWY_EXPORT(AddWeightGradient);
HWY_EXPORT(FinishWeightGradient);

size_t TilesOfF4(size_t rows, size_t height, size_t width) {
  return rows * ((height + 3) / 4) * ((width + 3) / 4);
}

void Turn(const Matrix& from, size_t rows, size_t columns, float* to, size_t to_stride) {
  HWY_DYNAMIC_DISPATCH(Turn)(from, rows, columns, to, to_stride);
}

size_t PackedKernelsSize(size_t in, size_t out) {
  return PackedSize({.out = out, .in = in, .kernel = 3, .tiling = Tiling::kF4});
}

void PackKernels(const KernelsByTap& kernels, Part groups, float* packed) {
  HWY_DYNAMIC_DISPATCH(PackKernels)(kernels, groups, Transform().g(), packed);
}

size_t WeightGradientSums(size_t in, size_t out) { return kFrequencies * in * out; }

size_t WeightGradientScratch(size_t in, size_t out) {
  const GradientBlock block(in, out);
  return std::max(in, out) +
         kFrequencies * (block.x_frequency_stride() + block.dy_frequency_stride());
}

void AddWeightGradient(const WeightGradient& gradient) {
  HWY_DYNAMIC_DISPATCH(AddWeightGradient)(gradient);
}

void FinishWeightGradient(const float* const* sums, size_t parts, size_t in, size_t out,
                          Part inputs, float* gradient) {
  HWY_DYNAMIC_DISPATCH(FinishWeightGradient)
  (sums, parts, in, out, inputs, Transform().g(), gradient);
}

}  // namespace diffusiond
#endif  // HWY_ONCE
