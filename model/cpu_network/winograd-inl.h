// 3x3 convolutions of stride 1 by Winograd's minimal filtering (Lavin and Gray 2016): F(4x4, 3x3)
// at the points 0, +-5/8, +-3/2 and infinity, F(2x2, 3x3) at 0, +-1 and infinity. Per-target.
#if defined(DIFFUSIOND_MODEL_CPU_NETWORK_WINOGRAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_WINOGRAD_INL_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_WINOGRAD_INL_H_
#else
#undef DIFFUSIOND_MODEL_CPU_NETWORK_WINOGRAD_INL_H_
#endif

#include <algorithm>

#include "model/cpu_network/convolution-inl.h"

HWY_BEFORE_NAMESPACE();
namespace diffusiond::HWY_NAMESPACE {

struct TileBlock {
  size_t tiles = 0;
  Place places[kMaxTileBlock];  // `y` and `x` of the first output.
  float* inputs = nullptr;
  size_t input_stride = 0;  // Floats from one frequency to the next.
  size_t channels = 0;      // Whole panels.
  float* sums = nullptr;
  size_t sum_stride = 0;
};

template <typename F>
HWY_INLINE void MultiplyGroup(const TileBlock& block, const float* const* rows, size_t in_channels,
                              size_t panels, const float* weights) {
  Block product;
  product.rows = rows;
  product.sums_stride = kGroupChannels;
  for (size_t frequency = 0; frequency < F::kSize * F::kSize; ++frequency) {
    for (size_t channel = 0; channel < in_channels; channel += kDepth) {
      product.offset = frequency * block.input_stride + channel;
      product.terms = std::min(kDepth, in_channels - channel);
      product.panel_stride = product.terms * kPanel;
      product.first = channel == 0;
      for (size_t panel = 0; panel < panels; panel += kTilePanels) {
        product.weights = weights + panel * product.panel_stride;
        product.sums = block.sums + frequency * block.sum_stride + panel * kPanel;
        BlockProductOf(product, block.tiles, std::min(kTilePanels, panels - panel));
      }
      weights += panels * product.panel_stride;
    }
  }
}

template <typename F>
HWY_INLINE void StoreTile(const Convolution& c, const TileBlock& block, size_t tile,
                          size_t first_panel, size_t panels) {
  constexpr size_t kSize = F::kSize, kOutputs = F::kOutputs;
  const Epilogue& e = c.epilogue;
  const Place& place = block.places[tile];
  const size_t height = std::min(kOutputs, c.out.height - place.y);
  const size_t width = std::min(kOutputs, c.out.width - place.x);
  for (size_t v = 0; v < panels * kPanel; v += kLanes) {
    const size_t channel = first_panel * kPanel + v;
    Vector m[kSize], columns[kOutputs * kSize], out[kOutputs];
    const float* from = block.sums + tile * kGroupChannels + v;
    for (size_t x = 0; x < kSize; ++x) {
      for (size_t y = 0; y < kSize; ++y) m[y] = Load(from + (y * kSize + x) * block.sum_stride);
      F::Output(m, 1, columns + x, kSize);
    }
    const float* bias = e.bias + place.row * e.bias_row_stride + channel;
    for (size_t y = 0; y < height; ++y) {
      F::Output(columns + y * kSize, 1, out, 1);
      for (size_t x = 0; x < width; ++x) {
        const size_t to_y = place.y + y, to_x = place.x + x;
        const float* residual = e.residual.data == nullptr
                                    ? nullptr
                                    : PixelAt(e.residual, place.row, to_y >> e.residual_shift,
                                              to_x >> e.residual_shift) +
                                          channel;
        StoreSum(out[x], bias, residual, e.divisor,
                 PixelAt(c.out, place.row, to_y, to_x) + channel);
      }
    }
  }
}

template <typename F>
HWY_NOINLINE void ConvolveTiles(const Convolution& c) {
  constexpr size_t kFrequencies = F::kSize * F::kSize;
  const size_t in_channels = c.in[0].channels;
  const size_t most = TileBlockSize(F::kSize, in_channels);
  TileBlock block;
  block.channels = WholePanels(in_channels);
  block.input_stride = TileInputStride(most, in_channels);
  block.sum_stride = TileSumStride(most);
  block.inputs = c.scratch;
  block.sums = c.scratch + kFrequencies * block.input_stride;
  const float* rows[kMaxTileBlock];
  for (size_t begin = c.pixels.begin; begin < c.pixels.end; begin += block.tiles) {
    const size_t blocks = (c.pixels.end - begin + most - 1) / most;
    block.tiles = (c.pixels.end - begin + blocks - 1) / blocks;
    for (size_t tile = 0; tile < block.tiles; ++tile) {
      float* const transform = block.inputs + tile * block.channels;
      rows[tile] = transform;
      block.places[tile] = TilePlace<F>(c.out, begin + tile);
      TransformTile<F>(c, block.places[tile], block.channels, transform, block.input_stride);
    }
    for (size_t panel = c.panels.begin; panel < c.panels.end; panel += kPanelGroup) {
      const size_t panels = std::min(kPanelGroup, c.panels.end - panel);
      MultiplyGroup<F>(block, rows, in_channels, panels,
                       c.weights + panel * kFrequencies * in_channels * kPanel);
      for (size_t tile = 0; tile < block.tiles; ++tile) {
        StoreTile<F>(c, block, tile, panel, panels);
      }
    }
  }
}

void Convolve(const Convolution& c, Tiling tiling) {
  switch (tiling) {
    case Tiling::kDirect:
      return ConvolveDirectly(c);
    case Tiling::kF2:
      return ConvolveTiles<F2>(c);
    case Tiling::kF4:
      return ConvolveTiles<F4>(c);
  }
}

}  // namespace diffusiond::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_WINOGRAD_INL_H_
