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
  float* transforms = nullptr;  // Of kernels; null: the weights are transforms.
};

// One dimension of a kernel's transform: kSize values of 3, `stride` apart.
template <typename F>
HWY_INLINE void TransformKernel(const DoubleVector* g, size_t stride, DoubleVector* out,
                                size_t out_stride) {
  constexpr auto kRows = F::kKernelTransform;
  const auto times = [](double factor, DoubleVector v) {
    return hn::Mul(hn::Set(Doubles(), factor), v);
  };
  out[0] = times(kRows[0][0], g[0]);
  for (size_t point = 1; point < kRows.size(); point += 2) {
    const DoubleVector t0 = times(kRows[point][0], g[0]), t1 = times(kRows[point][1], g[stride]),
                       t2 = times(kRows[point][2], g[2 * stride]);
    out[point * out_stride] = hn::Add(hn::Add(t0, t1), t2);
    out[(point + 1) * out_stride] = hn::Add(hn::Sub(t0, t1), t2);
  }
  out[kRows.size() * out_stride] = g[2 * stride];
}

template <typename F>
HWY_NOINLINE void TransformAll(const float* kernels, size_t channels, size_t panels,
                               float* transforms, size_t stride) {
  constexpr size_t kSize = F::kSize;
  for (size_t channel = 0; channel < channels; ++channel) {
    for (size_t panel = 0; panel < panels; ++panel, kernels += kTaps * kPanel) {
      float* const to = transforms + (panel * channels + channel) * kPanel;
      for (size_t v = 0; v < kPanel; v += kDoubleLanes) {
        DoubleVector g[kTaps], columns[kSize * 3], out[kSize];
        for (size_t tap = 0; tap < kTaps; ++tap) g[tap] = LoadDoubles(kernels + tap * kPanel + v);
        for (size_t x = 0; x < 3; ++x) TransformKernel<F>(g + x, 3, columns + x, 3);
        for (size_t y = 0; y < kSize; ++y) {
          TransformKernel<F>(columns + y * 3, 1, out, 1);
          for (size_t x = 0; x < kSize; ++x)
            StoreRounded(out[x], to + (y * kSize + x) * stride + v);
        }
      }
    }
  }
}

void TransformKernels(Tiling tiling, const float* kernels, size_t channels, size_t panels,
                      float* transforms, size_t stride) {
  if (tiling == Tiling::kF4) return TransformAll<F4>(kernels, channels, panels, transforms, stride);
  TransformAll<F2>(kernels, channels, panels, transforms, stride);
}

// The kernels that are transformed next are fetched meanwhile, a part at each frequency.
HWY_INLINE void FetchPart(const float* kernels, size_t floats, size_t part, size_t parts) {
  constexpr size_t kLine = 64 / sizeof(float);
  const size_t lines = floats / kLine;
  for (size_t line = lines * part / parts; line < lines * (part + 1) / parts; ++line) {
    hwy::Prefetch(kernels + line * kLine);
  }
}

template <typename F>
HWY_INLINE void MultiplyGroup(const TileBlock& block, const float* const* rows, size_t in_channels,
                              size_t panels, const float* weights) {
  constexpr size_t kFrequencies = F::kSize * F::kSize;
  const bool at_use = block.transforms != nullptr;
  Block product;
  product.rows = rows;
  product.sums_stride = kGroupChannels;
  for (size_t channel = 0; channel < in_channels; channel += kDepth) {
    product.terms = std::min(kDepth, in_channels - channel);
    product.panel_stride = product.terms * kPanel;
    product.first = channel == 0;
    const size_t place = panels * product.panel_stride;  // Floats.
    const float* transforms = at_use ? block.transforms : weights;
    const size_t stride = at_use ? kTransformStride : place;
    if (at_use) TransformAll<F>(weights, product.terms, panels, block.transforms, stride);
    weights += (at_use ? kTaps : kFrequencies) * place;
    for (size_t frequency = 0; frequency < kFrequencies; ++frequency, transforms += stride) {
      if (at_use) FetchPart(weights, kTaps * place, frequency, kFrequencies);
      product.offset = frequency * block.input_stride + channel;
      for (size_t panel = 0; panel < panels; panel += kTilePanels) {
        product.weights = transforms + panel * product.panel_stride;
        product.sums = block.sums + frequency * block.sum_stride + panel * kPanel;
        BlockProductOf(product, block.tiles, std::min(kTilePanels, panels - panel));
      }
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
  block.sums = block.inputs + kFrequencies * block.input_stride;
  if (c.transform_at_use) block.transforms = block.sums + kFrequencies * block.sum_stride;
  const float* rows[kMaxTileBlock];
  const size_t places = c.transform_at_use ? kTaps : kFrequencies;
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
                       c.weights + panel * places * in_channels * kPanel);
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
