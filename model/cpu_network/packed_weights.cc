#include "model/cpu_network/packed_weights.h"

#include <algorithm>
#include <vector>

#include "model/cpu_network/blocking.h"

namespace diffusiond {
namespace {

// Some panels of output channels.
struct Group {
  size_t first_panel = 0, panels = 0;
};

// What stands for one place of a kernel of Winograd's.
size_t PlacesOf(const WeightShape& shape) {
  if (shape.tiling == Tiling::kDirect || shape.transform_at_use) return shape.kernel * shape.kernel;
  const size_t size = static_cast<size_t>(shape.tiling) + 2;
  return size * size;
}

// to[at(channel, tap, panel)], a panel, of all the group's weights.
template <typename Place>
void Lay(const WeightShape& shape, const Group& group, std::span<const float> weights,
         const Place& at, float* to) {
  const size_t taps = shape.kernel * shape.kernel;
  for (size_t i = 0; i < group.panels * kPanel; ++i) {
    const size_t out = group.first_panel * kPanel + i;
    const float* const from = weights.data() + out * shape.in * taps;
    for (size_t in = 0; in < shape.in; ++in) {
      for (size_t tap = 0; tap < taps; ++tap) {
        to[at(in, tap, i / kPanel) * kPanel + i % kPanel] =
            out < shape.out ? from[in * taps + tap] : 0;
      }
    }
  }
}

void LayDirectly(const WeightShape& shape, const Group& group, std::span<const float> weights,
                 float* to) {
  Lay(
      shape, group, weights,
      [&](size_t in, size_t tap, size_t panel) {
        // Blocks do not reach over the first input's end.
        const size_t start = in < shape.first_in ? 0 : shape.first_in;
        const size_t end = in < shape.first_in ? shape.first_in : shape.in;
        const size_t block = start + (in - start) / kDepth * kDepth;
        const size_t terms = std::min(kDepth, end - block);
        return (tap * shape.in + block) * group.panels + panel * terms + in - block;
      },
      to);
}

void LayKernels(const WeightShape& shape, const Group& group, std::span<const float> weights,
                float* to) {
  Lay(
      shape, group, weights,
      [&](size_t in, size_t tap, size_t panel) {
        return (in * group.panels + panel) * kTaps + tap;
      },
      to);
}

}  // namespace

size_t PackedSize(const WeightShape& shape) {
  return WholePanels(shape.out) * PlacesOf(shape) * shape.in;
}

void Pack(const WeightShape& shape, std::span<const float> weights, float* packed) {
  const size_t places = PlacesOf(shape);
  const bool transform = shape.tiling != Tiling::kDirect && !shape.transform_at_use;
  std::vector<float> kernels(transform ? kGroupChannels * kTaps * shape.in : 0);
  Group group;
  for (; group.first_panel < Panels(shape.out); group.first_panel += group.panels) {
    group.panels = std::min(kPanelGroup, Panels(shape.out) - group.first_panel);
    const size_t floats = group.panels * kPanel;  // Of one place of one channel.
    float* to = packed + group.first_panel * kPanel * places * shape.in;
    if (shape.tiling == Tiling::kDirect) {
      LayDirectly(shape, group, weights, to);
      continue;
    }
    LayKernels(shape, group, weights, transform ? kernels.data() : to);
    for (size_t channel = 0; transform && channel < shape.in; channel += kDepth) {
      const size_t channels = std::min(kDepth, shape.in - channel);
      TransformKernels(shape.tiling, kernels.data() + channel * kTaps * floats, channels,
                       group.panels, to, channels * floats);
      to += places * channels * floats;
    }
  }
}

}  // namespace diffusiond
