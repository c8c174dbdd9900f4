// Group normalisation's two passes, and SiLU. Per-target.
#if defined(DIFFUSIOND_MODEL_CPU_NETWORK_GROUP_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_GROUP_NORM_INL_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_GROUP_NORM_INL_H_
#else
#undef DIFFUSIOND_MODEL_CPU_NETWORK_GROUP_NORM_INL_H_
#endif

#include <algorithm>

#include "model/cpu_network/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace diffusiond::HWY_NAMESPACE {

// Pixels whose values are added in single precision, before they go to a double.
inline constexpr size_t kMomentBlock = 32;

// Adds the kPanel floats of `sums` to doubles.
HWY_INLINE void AddTo(const Vector* sums, double* totals) {
  float values[kPanel];
  for (size_t v = 0; v < kPanelVectors; ++v) Store(sums[v], values + v * kLanes);
  for (size_t i = 0; i < kPanel; ++i) totals[i] += static_cast<double>(values[i]);
}

HWY_INLINE void SumPanel(const float* from, size_t pixels, size_t stride, double* totals) {
  for (size_t begin = 0; begin < pixels; begin += kMomentBlock) {
    const size_t end = std::min(pixels, begin + kMomentBlock);
    Vector sums[kPanelVectors];
    for (Vector& sum : sums) sum = hn::Zero(Floats());
    for (size_t i = begin; i < end; ++i) {
      for (size_t v = 0; v < kPanelVectors; ++v) {
        sums[v] = hn::Add(sums[v], Load(from + i * stride + v * kLanes));
      }
    }
    AddTo(sums, totals);
  }
}

// Of x - shift: its sum, and that of its squares.
HWY_INLINE void SumShiftedPanel(const float* from, size_t pixels, size_t stride,
                                const float* shift_of, double* totals, double* squares) {
  Vector shift[kPanelVectors];
  for (size_t v = 0; v < kPanelVectors; ++v) shift[v] = Load(shift_of + v * kLanes);
  for (size_t begin = 0; begin < pixels; begin += kMomentBlock) {
    const size_t end = std::min(pixels, begin + kMomentBlock);
    Vector sums[kPanelVectors], sums_of_squares[kPanelVectors];
    for (size_t v = 0; v < kPanelVectors; ++v) {
      sums[v] = sums_of_squares[v] = hn::Zero(Floats());
    }
    for (size_t i = begin; i < end; ++i) {
      for (size_t v = 0; v < kPanelVectors; ++v) {
        const Vector x = hn::Sub(Load(from + i * stride + v * kLanes), shift[v]);
        sums[v] = hn::Add(sums[v], x);
        sums_of_squares[v] = Fma(x, x, sums_of_squares[v]);
      }
    }
    AddTo(sums, totals);
    AddTo(sums_of_squares, squares);
  }
}

void ChannelMoments(const Images& image, size_t row, Part panels, double* mean, double* deviation) {
  const size_t pixels = image.height * image.width;
  const double count = static_cast<double>(pixels);
  for (size_t panel = panels.begin; panel < panels.end; ++panel) {
    const float* from = image.data + row * image.row_stride + panel * kPanel;
    double totals[kPanel] = {}, squares[kPanel] = {};
    float shift[kPanel];
    SumPanel(from, pixels, image.stride, totals);
    for (size_t i = 0; i < kPanel; ++i) {
      shift[i] = static_cast<float>(totals[i] / count);
      totals[i] = 0;
    }
    SumShiftedPanel(from, pixels, image.stride, shift, totals, squares);
    for (size_t i = 0; i < std::min(kPanel, image.channels - panel * kPanel); ++i) {
      mean[panel * kPanel + i] = static_cast<double>(shift[i]) + totals[i] / count;
      deviation[panel * kPanel + i] = squares[i] - totals[i] * totals[i] / count;
    }
  }
}

template <bool kSilu>
HWY_INLINE void NormalizePixels(const Normalization& n, const Images& in, size_t first, size_t row,
                                Part pixels) {
  for (size_t channel = 0; channel < in.channels; channel += kLanes) {
    const size_t count = std::min(kLanes, in.channels - channel);
    // The last vector may reach over the coefficients' end, which is whole panels.
    const Vector mean = Load(n.mean + first + channel), scale = Load(n.scale + first + channel),
                 shift = Load(n.shift + first + channel);
    const float* from = in.data + row * in.row_stride + channel;
    float* to = n.out.data + row * n.out.row_stride + first + channel;
    for (size_t i = pixels.begin; i < pixels.end; ++i) {
      Vector y = Fma(hn::Sub(Load(from + i * in.stride), mean), scale, shift);
      if (kSilu) y = Silu(y);
      if (count == kLanes) {
        Store(y, to + i * n.out.stride);
      } else {
        float values[kLanes];
        Store(y, values);
        StorePart(values, count, to + i * n.out.stride);
      }
    }
  }
}

void Normalize(const Normalization& n, size_t row, Part pixels) {
  for (size_t source = 0; source < 2; ++source) {
    const Images& in = n.in[source];
    if (in.channels == 0) continue;
    const size_t first = source == 0 ? 0 : n.in[0].channels;
    if (n.silu) {
      NormalizePixels<true>(n, in, first, row, pixels);
    } else {
      NormalizePixels<false>(n, in, first, row, pixels);
    }
  }
}

void SiluInPlace(float* x, size_t count) {
  for (size_t i = 0; i < count; i += kLanes) Store(Silu(Load(x + i)), x + i);
}

void ExpInPlace(float* x, size_t count) {
  for (size_t i = 0; i < count; i += kLanes) Store(Exp(Load(x + i)), x + i);
}

}  // namespace diffusiond::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_GROUP_NORM_INL_H_
