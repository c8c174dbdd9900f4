// The vectors that kernels compute with, for one instruction set. Per-target: see Highway's
// foreach_target.h.
#if defined(DIFFUSIOND_MODEL_CPU_NETWORK_VECTOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_VECTOR_INL_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_VECTOR_INL_H_
#else
#undef DIFFUSIOND_MODEL_CPU_NETWORK_VECTOR_INL_H_
#endif

#include <cmath>
#include <cstddef>
#include <cstring>

#include "hwy/highway.h"
#include "model/cpu_network/kernels.h"

// Whether the instruction set multiplies and adds with one rounding.
#undef DIFFUSIOND_NATIVE_FMA
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
#define DIFFUSIOND_NATIVE_FMA 1
#else
#define DIFFUSIOND_NATIVE_FMA 0
#endif

HWY_BEFORE_NAMESPACE();
namespace diffusiond::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, kPanel>;
using Vector = hn::Vec<Floats>;

inline constexpr size_t kLanes = hn::MaxLanes(Floats());
// Vectors of a panel, and panels of one tile of the product: as many accumulators as registers
// hold.
inline constexpr size_t kPanelVectors = kPanel / kLanes;
inline constexpr size_t kTilePanels = HWY_TARGET == HWY_AVX3 ? 2 : 1;
inline constexpr size_t kTileVectors = kTilePanels * kPanelVectors;

HWY_INLINE Vector Load(const float* from) { return hn::LoadU(Floats(), from); }
HWY_INLINE void Store(Vector v, float* to) { hn::StoreU(v, Floats(), to); }
HWY_INLINE Vector All(float value) { return hn::Set(Floats(), value); }

// In double precision, as many of a panel as a vector holds.
using Doubles = hn::CappedTag<double, kPanel>;
using DoubleVector = hn::Vec<Doubles>;
inline constexpr size_t kDoubleLanes = hn::MaxLanes(Doubles());
HWY_INLINE DoubleVector LoadDoubles(const float* from) {
  return hn::PromoteTo(Doubles(), hn::LoadU(hn::Rebind<float, Doubles>(), from));
}
HWY_INLINE void StoreRounded(DoubleVector v, float* to) {
  const hn::Rebind<float, Doubles> floats;
  hn::StoreU(hn::DemoteTo(floats, v), floats, to);
}

// a * b + c, rounded once.
HWY_INLINE Vector Fma(Vector a, Vector b, Vector c) {
#if DIFFUSIOND_NATIVE_FMA
  return hn::MulAdd(a, b, c);
#else
  float x[kLanes], y[kLanes], z[kLanes];
  Store(a, x);
  Store(b, y);
  Store(c, z);
  for (size_t i = 0; i < kLanes; ++i) z[i] = std::fma(x[i], y[i], z[i]);
  return Load(z);
#endif
}

// e^x, to 1.01 ulp from -87 to 88, beyond which it stays as there. Cody and Waite's reduction to
// |r| <= ln(2) / 2, Taylor's polynomial of degree 7.
HWY_INLINE Vector Exp(Vector x) {
  const hn::RebindToSigned<Floats> integers;
  constexpr float kRounder =
      12582912.f;  // 1.5 * 2^23: what is added to it is rounded to an integer.
  x = hn::Min(hn::Max(x, All(-87.f)), All(88.f));
  const Vector shifted = Fma(x, All(1.44269504f), All(kRounder));
  const Vector n = hn::Sub(shifted, All(kRounder));
  Vector r = Fma(n, All(-0.693359375f), x);
  r = Fma(n, All(2.12194440e-4f), r);
  Vector p = All(1.f / 5040);
  p = Fma(p, r, All(1.f / 720));
  p = Fma(p, r, All(1.f / 120));
  p = Fma(p, r, All(1.f / 24));
  p = Fma(p, r, All(1.f / 6));
  p = Fma(p, r, All(0.5f));
  p = Fma(p, r, All(1.f));
  p = Fma(p, r, All(1.f));
  // The integer stands in the low bits of `shifted`.
  const auto exponent =
      hn::Add(hn::BitCast(integers, shifted), hn::Set(integers, 127 - 0x4B400000));
  return hn::Mul(p, hn::BitCast(Floats(), hn::ShiftLeft<23>(exponent)));
}

// x / (1 + e^-x).
HWY_INLINE Vector Silu(Vector x) { return hn::Div(x, hn::Add(All(1.f), Exp(hn::Neg(x)))); }

// The first `count` of the floats of whole vectors at `from`.
HWY_INLINE void StorePart(const float* from, size_t count, float* to) {
  std::memcpy(to, from, count * sizeof(float));
}

}  // namespace diffusiond::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_VECTOR_INL_H_
