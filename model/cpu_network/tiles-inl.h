// Where outputs are, and what becomes of a tile of inputs for Winograd's minimal filtering (Lavin
// and Gray 2016): F(4x4, 3x3) at the points 0, +-5/8, +-3/2 and infinity, F(2x2, 3x3) at 0, +-1 and
// infinity. Per-target.
#if defined(DIFFUSIOND_MODEL_CPU_NETWORK_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_TILES_INL_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_TILES_INL_H_
#else
#undef DIFFUSIOND_MODEL_CPU_NETWORK_TILES_INL_H_
#endif

#include "model/cpu_network/blocking.h"
#include "model/cpu_network/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace diffusiond::HWY_NAMESPACE {

// Where an output pixel's image, row and column are.
struct Place {
  size_t row, y, x;
};

HWY_INLINE Place PlaceOf(const Images& images, size_t index) {
  const size_t pixels = images.height * images.width;
  const size_t pixel = index % pixels;
  return {index / pixels, pixel / images.width, pixel % images.width};
}

HWY_INLINE float* PixelAt(const Images& images, size_t row, size_t y, size_t x) {
  return images.data + row * images.row_stride + (y * images.width + x) * images.stride;
}

// One dimension of a tile: kSize inputs become kSize products, of which kOutputs outputs are made.
struct F4 {
  static constexpr size_t kOutputs = 4, kSize = 6;
  static constexpr KernelTransform<5> kKernelTransform = kKernelTransformF4;

  static HWY_INLINE void Input(const Vector* d, size_t stride, Vector* out, size_t out_stride) {
    constexpr float a = kPointA, b = kPointB, a2 = a * a, b2 = b * b;
    const Vector d0 = d[0], d1 = d[stride], d2 = d[2 * stride], d3 = d[3 * stride],
                 d4 = d[4 * stride], d5 = d[5 * stride];
    const Vector even_a = Fma(All(-b2), d2, d4), odd_a = Fma(All(-b2), d1, d3);
    const Vector even_b = Fma(All(-a2), d2, d4), odd_b = Fma(All(-a2), d1, d3);
    out[0] = Fma(All(a2 * b2), d0, Fma(All(-(a2 + b2)), d2, d4));
    out[out_stride] = Fma(All(a), odd_a, even_a);
    out[2 * out_stride] = Fma(All(-a), odd_a, even_a);
    out[3 * out_stride] = Fma(All(b), odd_b, even_b);
    out[4 * out_stride] = Fma(All(-b), odd_b, even_b);
    out[5 * out_stride] = Fma(All(a2 * b2), d1, Fma(All(-(a2 + b2)), d3, d5));
  }

  static HWY_INLINE void Output(const Vector* m, size_t stride, Vector* out, size_t out_stride) {
    constexpr float a = kPointA, b = kPointB;
    const Vector m1 = m[stride], m2 = m[2 * stride], m3 = m[3 * stride], m4 = m[4 * stride];
    const Vector even_a = hn::Add(m1, m2), odd_a = hn::Sub(m1, m2);
    const Vector even_b = hn::Add(m3, m4), odd_b = hn::Sub(m3, m4);
    out[0] = hn::Add(hn::Add(m[0], even_a), even_b);
    out[out_stride] = Fma(All(b), odd_b, hn::Mul(All(a), odd_a));
    out[2 * out_stride] = Fma(All(b * b), even_b, hn::Mul(All(a * a), even_a));
    out[3 * out_stride] = Fma(All(b * b * b), odd_b, Fma(All(a * a * a), odd_a, m[5 * stride]));
  }
};

struct F2 {
  static constexpr size_t kOutputs = 2, kSize = 4;
  static constexpr KernelTransform<3> kKernelTransform = kKernelTransformF2;

  static HWY_INLINE void Input(const Vector* d, size_t stride, Vector* out, size_t out_stride) {
    const Vector d0 = d[0], d1 = d[stride], d2 = d[2 * stride], d3 = d[3 * stride];
    out[0] = hn::Sub(d2, d0);
    out[out_stride] = hn::Add(d2, d1);
    out[2 * out_stride] = hn::Sub(d2, d1);
    out[3 * out_stride] = hn::Sub(d3, d1);
  }

  static HWY_INLINE void Output(const Vector* m, size_t stride, Vector* out, size_t out_stride) {
    const Vector m1 = m[stride], m2 = m[2 * stride];
    out[0] = hn::Add(hn::Add(m[0], m1), m2);
    out[out_stride] = hn::Add(hn::Sub(m1, m2), m[3 * stride]);
  }
};

// Where the tile's first output is.
template <typename F>
HWY_INLINE Place TilePlace(const Images& out, size_t tile) {
  const size_t across = (out.width + F::kOutputs - 1) / F::kOutputs;
  const size_t of_image = across * ((out.height + F::kOutputs - 1) / F::kOutputs);
  const size_t of_row = tile % of_image;
  return {tile / of_image, of_row / across * F::kOutputs, of_row % across * F::kOutputs};
}

// The transform of one tile's inputs: [frequency][channels], `stride` floats from one frequency to
// the next. `channels` fill whole panels.
template <typename F>
HWY_INLINE void TransformTile(const Convolution& c, const Place& place, size_t channels,
                              float* transform, size_t stride) {
  constexpr size_t kSize = F::kSize;
  const Images& in = c.in[0];
  const float* pixels[kSize * kSize];
  const size_t height = in.height << c.in_shift, width = in.width << c.in_shift;
  for (size_t i = 0; i < kSize * kSize; ++i) {
    const size_t y = place.y + i / kSize - 1, x = place.x + i % kSize - 1;
    pixels[i] = y < height && x < width ? PixelAt(in, place.row, y >> c.in_shift, x >> c.in_shift)
                                        : c.zeros;
  }
  for (size_t channel = 0; channel < channels; channel += kLanes) {
    Vector columns[kSize * kSize], d[kSize], out[kSize];
    for (size_t x = 0; x < kSize; ++x) {
      for (size_t y = 0; y < kSize; ++y) d[y] = Load(pixels[y * kSize + x] + channel);
      F::Input(d, 1, columns + x, kSize);
    }
    for (size_t y = 0; y < kSize; ++y) {
      F::Input(columns + y * kSize, 1, out, 1);
      for (size_t x = 0; x < kSize; ++x) {
        Store(out[x], transform + (y * kSize + x) * stride + channel);
      }
    }
  }
}

}  // namespace diffusiond::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_TILES_INL_H_
