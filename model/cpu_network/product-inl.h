// The one inner loop: rows times panels of weights. Per-target.
#if defined(DIFFUSIOND_MODEL_CPU_NETWORK_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_PRODUCT_INL_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_PRODUCT_INL_H_
#else
#undef DIFFUSIOND_MODEL_CPU_NETWORK_PRODUCT_INL_H_
#endif

#include <algorithm>

#include "hwy/cache_control.h"
#include "model/cpu_network/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace diffusiond::HWY_NAMESPACE {

// One block of a sum, for some rows: sums[row] = or += rows[row][offset ...] * weights.
struct Block {
  const float* const* rows = nullptr;
  size_t offset = 0;               // Floats from each of `rows` to the block's first term.
  size_t terms = 0;                // At most kSumBlock.
  const float* weights = nullptr;  // [panel][terms][kPanel]
  size_t panel_stride = 0;         // Floats from one panel's weights to the next's.
  float* sums = nullptr;           // [rows][sums_stride], panels beside each other.
  size_t sums_stride = 0;
  bool first = false;  // Nothing is in `sums` yet.
};

// Whether there are registers for a tile's totals beside those for a block's sums.
inline constexpr bool kTotalsInRegisters = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON;

// Rows that go through the loop together.
inline constexpr size_t kTileRows = 6;

template <size_t kRows, size_t kPanels>
HWY_INLINE void TileProduct(const Block& block, size_t row, const float* next, size_t next_step) {
  constexpr size_t kVectors = kPanels * kPanelVectors;
  const float* a[kRows];
  for (size_t r = 0; r < kRows; ++r) a[r] = block.rows[row + r] + block.offset;
  float* const to = block.sums + row * block.sums_stride;
  const float* weights = block.weights;
  bool first = block.first;
  // Those of the blocks before; from zero on.
  Vector totals[kRows][kVectors];
  for (size_t r = 0; kTotalsInRegisters && r < kRows; ++r) {
    for (size_t v = 0; v < kVectors; ++v) {
      totals[r][v] = first ? hn::Zero(Floats()) : Load(to + r * block.sums_stride + v * kLanes);
    }
  }
  for (size_t begin = 0; begin < block.terms; begin += kSumBlock) {
    const size_t end = std::min(block.terms, begin + kSumBlock);
    Vector sums[kRows][kVectors];
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(Floats());
    }
    for (size_t k = begin; k < end; ++k) {
      Vector w[kVectors];
      for (size_t v = 0; v < kVectors; ++v) {
        w[v] = Load(weights + v / kPanelVectors * block.panel_stride + v % kPanelVectors * kLanes);
      }
      hwy::Prefetch(next);
      next += next_step;
      weights += kPanel;
      for (size_t r = 0; r < kRows; ++r) {
        const Vector x = All(a[r][k]);
        for (size_t v = 0; v < kVectors; ++v) sums[r][v] = Fma(x, w[v], sums[r][v]);
      }
    }
    for (size_t r = 0; r < kRows; ++r) {
      float* const row_to = to + r * block.sums_stride;
      for (size_t v = 0; v < kVectors; ++v) {
        if (kTotalsInRegisters) {
          totals[r][v] = hn::Add(totals[r][v], sums[r][v]);
        } else {
          const Vector total = first ? hn::Zero(Floats()) : Load(row_to + v * kLanes);
          Store(hn::Add(total, sums[r][v]), row_to + v * kLanes);
        }
      }
    }
    first = false;
  }
  for (size_t r = 0; kTotalsInRegisters && r < kRows; ++r) {
    for (size_t v = 0; v < kVectors; ++v) {
      Store(totals[r][v], to + r * block.sums_stride + v * kLanes);
    }
  }
}

template <size_t kPanels>
HWY_INLINE void TileProductOf(const Block& block, size_t row, size_t rows, const float* next,
                              size_t next_step) {
  switch (rows) {
    case 1:
      return TileProduct<1, kPanels>(block, row, next, next_step);
    case 2:
      return TileProduct<2, kPanels>(block, row, next, next_step);
    case 3:
      return TileProduct<3, kPanels>(block, row, next, next_step);
    case 4:
      return TileProduct<4, kPanels>(block, row, next, next_step);
    case 5:
      return TileProduct<5, kPanels>(block, row, next, next_step);
    default:
      return TileProduct<6, kPanels>(block, row, next, next_step);
  }
}

// All of `rows` rows, split as evenly as can be: 16 are 6, 5 and 5.
template <size_t kPanels>
HWY_NOINLINE void BlockProduct(const Block& block, size_t rows) {
  const size_t tiles = (rows + kTileRows - 1) / kTileRows;
  // The weights that are read after these are fetched meanwhile, each tile its part of them.
  const float* next = block.weights + kPanels * block.panel_stride;
  const size_t next_step = kPanels * kPanel / tiles;
  size_t row = 0;
  for (size_t tile = 0; tile < tiles; ++tile) {
    const size_t count = (rows - row + tiles - tile - 1) / (tiles - tile);
    TileProductOf<kPanels>(block, row, count, next + tile * next_step * block.terms, next_step);
    row += count;
  }
}

// One or kTilePanels panels.
HWY_INLINE void BlockProductOf(const Block& block, size_t rows, size_t panels) {
  if (panels == kTilePanels) return BlockProduct<kTilePanels>(block, rows);
  BlockProduct<1>(block, rows);
}

// (sum + bias + residual) / divisor of one panel's vectors.
HWY_INLINE void StoreSum(Vector sum, const float* bias, const float* residual, float divisor,
                         float* to) {
  sum = hn::Add(sum, Load(bias));
  if (residual != nullptr) sum = hn::Add(sum, Load(residual));
  if (divisor != 1) sum = hn::Div(sum, All(divisor));
  Store(sum, to);
}

}  // namespace diffusiond::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_PRODUCT_INL_H_
