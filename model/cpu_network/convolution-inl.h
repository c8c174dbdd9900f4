// Direct convolutions: of any kernel size and stride, and products of matrices. Per-target.
#if defined(DIFFUSIOND_MODEL_CPU_NETWORK_CONVOLUTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_CONVOLUTION_INL_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_CONVOLUTION_INL_H_
#else
#undef DIFFUSIOND_MODEL_CPU_NETWORK_CONVOLUTION_INL_H_
#endif

#include <algorithm>

#include "model/cpu_network/blocking.h"
#include "model/cpu_network/product-inl.h"
#include "model/cpu_network/tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace diffusiond::HWY_NAMESPACE {

// The input pixel under `tap` of the kernel for each output pixel; zeros outside.
HWY_INLINE void FindRows(const Convolution& c, const Images& in, const Place* places, size_t count,
                         size_t tap, const float** rows) {
  const size_t dy = tap / c.kernel, dx = tap % c.kernel;
  const size_t height = in.height << c.in_shift, width = in.width << c.in_shift;
  for (size_t i = 0; i < count; ++i) {
    // Wraps around to a large value where it is negative.
    const size_t y = places[i].y * c.stride + dy - c.padding;
    const size_t x = places[i].x * c.stride + dx - c.padding;
    rows[i] = y < height && x < width ? PixelAt(in, places[i].row, y >> c.in_shift, x >> c.in_shift)
                                      : c.zeros;
  }
}

// Adds the sums of all taps and channels for one group of panels. -> the weights' end.
HWY_INLINE void SumGroup(const Convolution& c, const float* const* rows, size_t count,
                         size_t panels, const float* weights, float* sums) {
  const size_t taps = c.kernel * c.kernel;
  Block block;
  block.sums_stride = kGroupChannels;
  block.first = true;
  for (size_t tap = 0; tap < taps; ++tap) {
    for (size_t source = 0; source < 2; ++source) {
      const size_t channels = c.in[source].channels;
      block.rows = rows + (source * taps + tap) * kPixelBlock;
      for (block.offset = 0; block.offset < channels; block.offset += kDepth) {
        block.terms = std::min(kDepth, channels - block.offset);
        block.panel_stride = block.terms * kPanel;
        for (size_t panel = 0; panel < panels; panel += kTilePanels) {
          block.weights = weights + panel * block.panel_stride;
          block.sums = sums + panel * kPanel;
          BlockProductOf(block, count, std::min(kTilePanels, panels - panel));
        }
        weights += panels * block.panel_stride;
        block.first = false;
      }
    }
  }
}

HWY_INLINE void StorePixels(const Convolution& c, const Place* places, size_t count,
                            size_t first_panel, size_t panels, const float* sums) {
  const Epilogue& e = c.epilogue;
  for (size_t i = 0; i < count; ++i) {
    const auto [row, y, x] = places[i];
    const size_t channel = first_panel * kPanel;
    const float* bias = e.bias + row * e.bias_row_stride + channel;
    const float* residual =
        e.residual.data == nullptr
            ? nullptr
            : PixelAt(e.residual, row, y >> e.residual_shift, x >> e.residual_shift) + channel;
    float* to = PixelAt(c.out, row, y, x) + channel;
    for (size_t v = 0; v < panels * kPanel; v += kLanes) {
      StoreSum(Load(sums + i * kGroupChannels + v), bias + v,
               residual == nullptr ? nullptr : residual + v, e.divisor, to + v);
    }
  }
}

void ConvolveDirectly(const Convolution& c) {
  const size_t taps = c.kernel * c.kernel;
  const size_t terms = taps * (c.in[0].channels + c.in[1].channels);
  const auto** rows = reinterpret_cast<const float**>(c.scratch);
  float* sums = c.scratch + RowPointerFloats(c.kernel);
  Place places[kPixelBlock];
  for (size_t begin = c.pixels.begin; begin < c.pixels.end; begin += kPixelBlock) {
    const size_t count = std::min(kPixelBlock, c.pixels.end - begin);
    for (size_t i = 0; i < count; ++i) places[i] = PlaceOf(c.out, begin + i);
    for (size_t source = 0; source < 2; ++source) {
      if (c.in[source].channels == 0) continue;
      for (size_t tap = 0; tap < taps; ++tap) {
        FindRows(c, c.in[source], places, count, tap, rows + (source * taps + tap) * kPixelBlock);
      }
    }
    for (size_t panel = c.panels.begin; panel < c.panels.end; panel += kPanelGroup) {
      const size_t panels = std::min(kPanelGroup, c.panels.end - panel);
      SumGroup(c, rows, count, panels, c.weights + panel * terms * kPanel, sums);
      StorePixels(c, places, count, panel, panels, sums);
    }
  }
}

}  // namespace diffusiond::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_CONVOLUTION_INL_H_
