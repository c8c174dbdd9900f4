// F(4x4, 3x3) for weights that change, and their gradient. Per-target.
#if defined(DIFFUSIOND_MODEL_CPU_NETWORK_GRADIENT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_GRADIENT_INL_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_GRADIENT_INL_H_
#else
#undef DIFFUSIOND_MODEL_CPU_NETWORK_GRADIENT_INL_H_
#endif

#include <algorithm>

#include "model/cpu_network/gradient_blocking.h"
#include "model/cpu_network/tiles-inl.h"
#include "model/cpu_network/training_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace diffusiond::HWY_NAMESPACE {

// A square of so many rows and columns is turned at a time, along the side that has its lines of
// memory further apart: these may fall into the same few places of a cache.
inline constexpr size_t kSquare = 16;

// to[column][row] = from[row][column] of 4 rows and columns.
HWY_INLINE void TurnFour(const float* from, size_t from_stride, float* to, size_t to_stride) {
#if HWY_TARGET == HWY_SCALAR
  for (size_t row = 0; row < 4; ++row) {
    for (size_t column = 0; column < 4; ++column) {
      to[column * to_stride + row] = from[row * from_stride + column];
    }
  }
#else
  const hn::FixedTag<float, 4> four;
  const hn::FixedTag<double, 2> pairs;
  const auto row = [&](size_t i) { return hn::LoadU(four, from + i * from_stride); };
  const auto store = [&](auto low, auto high, size_t column) {
    const auto a = hn::BitCast(pairs, low), b = hn::BitCast(pairs, high);
    hn::StoreU(hn::BitCast(four, hn::InterleaveLower(pairs, a, b)), four, to + column * to_stride);
    hn::StoreU(hn::BitCast(four, hn::InterleaveUpper(pairs, a, b)), four,
               to + (column + 1) * to_stride);
  };
  const auto r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3);
  store(hn::InterleaveLower(four, r0, r1), hn::InterleaveLower(four, r2, r3), 0);
  store(hn::InterleaveUpper(four, r0, r1), hn::InterleaveUpper(four, r2, r3), 2);
#endif
}

void Turn(const Matrix& from, size_t rows, size_t columns, float* to, size_t to_stride) {
  const size_t whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
  const auto four = [&](size_t row, size_t column) {
    TurnFour(from.data + row * from.stride + column, from.stride, to + column * to_stride + row,
             to_stride);
  };
  for (size_t first_row = 0; first_row < whole_rows; first_row += kSquare) {
    const size_t end_row = std::min(whole_rows, first_row + kSquare);
    for (size_t first = 0; first < whole_columns; first += kSquare) {
      const size_t end = std::min(whole_columns, first + kSquare);
      if (from.stride > to_stride) {
        for (size_t row = first_row; row < end_row; row += 4) {
          for (size_t column = first; column < end; column += 4) four(row, column);
        }
      } else {
        for (size_t column = first; column < end; column += 4) {
          for (size_t row = first_row; row < end_row; row += 4) four(row, column);
        }
      }
    }
  }
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = row < whole_rows ? whole_columns : 0; column < columns; ++column) {
      to[column * to_stride + row] = from.data[row * from.stride + column];
    }
  }
}

// `g` is G, here as below.
void PackKernels(const KernelsByTap& kernels, Part groups, const float (*g)[3], float* packed) {
  constexpr size_t kSize = F4::kSize;
  for (size_t group = groups.begin; group < groups.end; ++group) {
    const size_t first_panel = group * kPanelGroup;
    const size_t panels = std::min(kPanelGroup, Panels(kernels.out) - first_panel);
    float* const to_group = packed + first_panel * kFrequencies * kernels.in * kPanel;
    for (size_t in = 0; in < kernels.in; ++in) {
      const size_t block = in / kDepth * kDepth;
      const size_t terms = std::min(kDepth, kernels.in - block);
      for (size_t v = 0; v < panels * kPanel; v += kLanes) {
        const float* const from =
            kernels.weights + in * kTaps * kernels.out + first_panel * kPanel + v;
        Vector half[kSize][3];
        for (size_t x = 0; x < 3; ++x) {
          Vector k[3];
          for (size_t y = 0; y < 3; ++y) {
            const size_t tap = y * 3 + x;
            k[y] = Load(from + (kernels.turned ? kTaps - 1 - tap : tap) * kernels.out);
          }
          for (size_t i = 0; i < kSize; ++i) {
            half[i][x] =
                Fma(All(g[i][0]), k[0], Fma(All(g[i][1]), k[1], hn::Mul(All(g[i][2]), k[2])));
          }
        }
        float* const to = to_group + block * kFrequencies * panels * kPanel +
                          (v / kPanel * terms + in - block) * kPanel + v % kPanel;
        for (size_t i = 0; i < kSize; ++i) {
          for (size_t j = 0; j < kSize; ++j) {
            Store(Fma(All(g[j][0]), half[i][0],
                      Fma(All(g[j][1]), half[i][1], hn::Mul(All(g[j][2]), half[i][2]))),
                  to + (i * kSize + j) * terms * panels * kPanel);
          }
        }
      }
    }
  }
}

// One dimension of A dy A^T: 4 of a tile's outputs become 6.
HWY_INLINE void OutputBackwards(const Vector* d, size_t stride, Vector* out, size_t out_stride) {
  constexpr float a = kPointA, b = kPointB;
  const Vector d0 = d[0], d1 = d[stride], d2 = d[2 * stride], d3 = d[3 * stride];
  const Vector even_a = Fma(All(a * a), d2, d0), even_b = Fma(All(b * b), d2, d0);
  const Vector odd_a = Fma(All(a * a * a), d3, hn::Mul(All(a), d1));
  const Vector odd_b = Fma(All(b * b * b), d3, hn::Mul(All(b), d1));
  out[0] = d0;
  out[out_stride] = hn::Add(even_a, odd_a);
  out[2 * out_stride] = hn::Sub(even_a, odd_a);
  out[3 * out_stride] = hn::Add(even_b, odd_b);
  out[4 * out_stride] = hn::Sub(even_b, odd_b);
  out[5 * out_stride] = d3;
}

HWY_INLINE void TransformGradientTile(const Images& dy, const Place& place, const float* zeros,
                                      float* transform, size_t stride) {
  constexpr size_t kSize = F4::kSize, kOutputs = F4::kOutputs;
  const float* pixels[kOutputs * kOutputs];
  for (size_t i = 0; i < kOutputs * kOutputs; ++i) {
    const size_t y = place.y + i / kOutputs, x = place.x + i % kOutputs;
    pixels[i] = y < dy.height && x < dy.width ? PixelAt(dy, place.row, y, x) : zeros;
  }
  for (size_t channel = 0; channel < dy.channels; channel += kLanes) {
    Vector columns[kSize * kOutputs], d[kOutputs], out[kSize];
    for (size_t x = 0; x < kOutputs; ++x) {
      for (size_t y = 0; y < kOutputs; ++y) d[y] = Load(pixels[y * kOutputs + x] + channel);
      OutputBackwards(d, 1, columns + x, kOutputs);
    }
    for (size_t y = 0; y < kSize; ++y) {
      OutputBackwards(columns + y * kOutputs, 1, out, 1);
      for (size_t x = 0; x < kSize; ++x) {
        Store(out[x], transform + (y * kSize + x) * stride + channel);
      }
    }
  }
}

// sums[row][panel] += the sum over tiles of x[tile][row] * dy[tile][panel].
struct OuterProduct {
  const float* x = nullptr;
  const float* dy = nullptr;
  size_t x_stride = 0, dy_stride = 0;  // Floats from one tile to the next.
  size_t tiles = 0;
  float* sums = nullptr;
  size_t sums_stride = 0;
};

template <size_t kRows, size_t kPanels>
HWY_INLINE void OuterTile(const OuterProduct& p, size_t row) {
  constexpr size_t kVectors = kPanels * kPanelVectors;
  Vector sums[kRows][kVectors];
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(Floats());
  }
  const float* x = p.x + row;
  const float* dy = p.dy;
  for (size_t tile = 0; tile < p.tiles; ++tile, x += p.x_stride, dy += p.dy_stride) {
    Vector w[kVectors];
    for (size_t v = 0; v < kVectors; ++v) w[v] = Load(dy + v * kLanes);
    for (size_t r = 0; r < kRows; ++r) {
      const Vector factor = All(x[r]);
      for (size_t v = 0; v < kVectors; ++v) sums[r][v] = Fma(factor, w[v], sums[r][v]);
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    float* const to = p.sums + (row + r) * p.sums_stride;
    for (size_t v = 0; v < kVectors; ++v) {
      Store(hn::Add(Load(to + v * kLanes), sums[r][v]), to + v * kLanes);
    }
  }
}

// Of whole panels of rows: 16 are 6, 5 and 5.
template <size_t kPanels>
HWY_NOINLINE void OuterProductOf(const OuterProduct& p, size_t rows) {
  for (size_t row = 0; row < rows; row += kPanel) {
    OuterTile<6, kPanels>(p, row);
    OuterTile<5, kPanels>(p, row + 6);
    OuterTile<5, kPanels>(p, row + 11);
  }
}

void AddWeightGradient(const WeightGradient& g) {
  const size_t in = g.x.channels, out = g.dy.channels;
  const GradientBlock block(in, out);
  Convolution c;  // Of which x is the input.
  c.in[0] = g.x;
  c.zeros = g.scratch;
  float* const x = g.scratch + std::max(in, out);
  float* const dy = x + kFrequencies * block.x_frequency_stride();
  std::fill_n(g.scratch, std::max(in, out), 0.f);
  for (size_t begin = g.tiles.begin; begin < g.tiles.end; begin += block.tiles) {
    OuterProduct product;
    product.x_stride = block.x_stride;
    product.dy_stride = block.dy_stride;
    product.sums_stride = out;
    product.tiles = std::min(block.tiles, g.tiles.end - begin);
    for (size_t tile = 0; tile < product.tiles; ++tile) {
      const Place place = TilePlace<F4>(g.dy, begin + tile);
      TransformTile<F4>(c, place, in, x + tile * block.x_stride, block.x_frequency_stride());
      TransformGradientTile(g.dy, place, c.zeros, dy + tile * block.dy_stride,
                            block.dy_frequency_stride());
    }
    for (size_t frequency = 0; frequency < kFrequencies; ++frequency) {
      product.x = x + frequency * block.x_frequency_stride();
      for (size_t panel = 0; panel < Panels(out); panel += kTilePanels) {
        product.dy = dy + frequency * block.dy_frequency_stride() + panel * kPanel;
        product.sums = g.sums + frequency * in * out + panel * kPanel;
        if (kTilePanels == 2 && panel + 1 == Panels(out)) {
          OuterProductOf<1>(product, in);
        } else {
          OuterProductOf<kTilePanels>(product, in);
        }
      }
    }
  }
}

void FinishWeightGradient(const float* const* sums, size_t parts, size_t in, size_t out,
                          Part inputs, const float (*g)[3], float* gradient) {
  constexpr size_t kSize = F4::kSize;
  for (size_t channel = inputs.begin; channel < inputs.end; ++channel) {
    for (size_t v = 0; v < out; v += kLanes) {
      const auto sum = [&](size_t frequency) {
        const size_t at = (frequency * in + channel) * out + v;
        Vector total = Load(sums[0] + at);
        for (size_t part = 1; part < parts; ++part) total = hn::Add(total, Load(sums[part] + at));
        return total;
      };
      Vector half[3][kSize];
      for (size_t y = 0; y < 3; ++y) {
        for (size_t x = 0; x < kSize; ++x) half[y][x] = hn::Zero(Floats());
      }
      for (size_t i = 0; i < kSize; ++i) {
        for (size_t x = 0; x < kSize; ++x) {
          const Vector u = sum(i * kSize + x);
          for (size_t y = 0; y < 3; ++y) half[y][x] = Fma(All(g[i][y]), u, half[y][x]);
        }
      }
      for (size_t y = 0; y < 3; ++y) {
        for (size_t x = 0; x < 3; ++x) {
          Vector total = hn::Zero(Floats());
          for (size_t j = 0; j < kSize; ++j) total = Fma(All(g[j][x]), half[y][j], total);
          Store(total, gradient + (channel * kTaps + y * 3 + x) * out + v);
        }
      }
    }
  }
}

}  // namespace diffusiond::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_GRADIENT_INL_H_
