#include <algorithm>
#include <limits>

#include "model/cpu_network/blocking.h"
#include "model/cpu_network/layer.h"
#include "model/cpu_network/packed_weights.h"

namespace diffusiond {
namespace {

// Fewer input channels than these do not pay for their transforms.
constexpr size_t kFewestWinogradChannels = 16;
// Fewer tiles than these wait for their weights.
constexpr size_t kFewestTiles = 16;

// More than these meet their kernels often enough to keep what these become.
constexpr size_t kMostTilesAtUse = 48;

size_t TilesOf(size_t height, size_t width, Tiling tiling) {
  const size_t size = std::max<size_t>(1, static_cast<size_t>(tiling));
  return (height + size - 1) / size * ((width + size - 1) / size);
}

// How threads divide tiles among them, and then groups of output channels.
struct Split {
  size_t by_tiles = 1, by_groups = 1;
};

// The transforms of a group's kernels take the time of so many tiles.
constexpr size_t kTransformTiles = 6;

// The least work for the busiest thread, where each repeats its tiles' transforms, worth about one
// group, and those of its groups' kernels, worth `transforms` tiles; few tiles wait for their
// weights as long as kFewestTiles would.
Split ChooseSplit(size_t tiles, size_t groups, size_t threads, size_t transforms) {
  Split best;
  size_t least = std::numeric_limits<size_t>::max();
  for (size_t by_tiles = 1; by_tiles <= std::min(threads, tiles); ++by_tiles) {
    const size_t by_groups = std::min(groups, threads / by_tiles);
    const size_t most_tiles = (tiles + by_tiles - 1) / by_tiles;
    const size_t most_groups = (groups + by_groups - 1) / by_groups;
    const size_t each = std::max(most_tiles, kFewestTiles) + transforms;
    const size_t work = each * most_groups + most_tiles;
    if (work >= least) continue;
    least = work;
    best = {by_tiles, by_groups};
  }
  return best;
}

Tiling TilingOf(const ConvolutionLayer::Options& o) {
  if (o.kernel != 3 || o.stride != 1 || o.in[1].channels != 0) return Tiling::kDirect;
  return ChooseTiling(o.in[0].channels, o.out.channels, o.out.height, o.out.width);
}

WeightShape ShapeOf(const ConvolutionLayer::Options& o) {
  return {.out = o.out.channels,
          .in = o.in[0].channels + o.in[1].channels,
          .kernel = o.kernel,
          .first_in = o.in[1].channels == 0 ? 0 : o.in[0].channels,
          .tiling = TilingOf(o),
          .transform_at_use = o.transform_at_use};
}

}  // namespace

Part ShareOf(size_t units, size_t thread, size_t threads) {
  return {units * thread / threads, units * (thread + 1) / threads};
}

Tiling ChooseTiling(size_t in, size_t, size_t height, size_t width) {
  if (in < kFewestWinogradChannels) return Tiling::kDirect;
  if (TilesOf(height, width, Tiling::kF4) >= kFewestTiles) return Tiling::kF4;
  if (TilesOf(height, width, Tiling::kF2) >= kFewestTiles) return Tiling::kF2;
  return Tiling::kDirect;
}

ConvolutionLayer::ConvolutionLayer(const Options& options, float* packed)
    : options_(options), tiling_(TilingOf(options)), packed_(packed) {
  options_.weights = std::vector<float>();  // `= {}` would keep their memory.
  Pack(ShapeOf(options), options.weights, packed);
  bias_ = options.bias;
  bias_.resize(WholePanels(options.out.channels));
  zeros_.resize(WholePanels(std::max(options.in[0].channels, options.in[1].channels)));
}

size_t ConvolutionLayer::PackedFloats(const Options& options) {
  return PackedSize(ShapeOf(options));
}

size_t ConvolutionLayer::ScratchFloats(const Options& options) {
  return ConvolutionScratch(TilingOf(options), options.kernel, options.in[0].channels);
}

void ConvolutionLayer::Run(const LayerRun& run) const {
  const Options& o = options_;
  Convolution c;
  c.rows = run.rows;
  c.in[0] = run.At(o.in[0]);
  c.in[1] = run.At(o.in[1]);
  c.in_shift = o.in_shift;
  c.kernel = o.kernel;
  c.stride = o.stride;
  c.padding = o.padding;
  c.weights = packed_;
  c.transform_at_use = o.transform_at_use;
  c.zeros = zeros_.data();
  c.out = run.At(o.out);
  c.epilogue.bias = bias_.data();
  if (o.row_bias.channels > 0) {
    c.epilogue.bias = run.Row(o.row_bias, 0);
    c.epilogue.bias_row_stride = run.arena_floats;
  }
  if (o.residual.channels > 0) c.epilogue.residual = run.At(o.residual);
  c.epilogue.residual_shift = o.residual_shift;
  c.epilogue.divisor = o.divisor;
  c.scratch = run.scratch;
  const size_t tiles = run.rows * TilesOf(o.out.height, o.out.width, tiling_);
  const size_t panels = Panels(o.out.channels);
  const size_t groups = (panels + kPanelGroup - 1) / kPanelGroup;
  const Split split =
      ChooseSplit(tiles, groups, run.threads, o.transform_at_use ? kTransformTiles : 0);
  if (run.thread >= split.by_tiles * split.by_groups) return;
  c.pixels = ShareOf(tiles, run.thread / split.by_groups, split.by_tiles);
  const Part share = ShareOf(groups, run.thread % split.by_groups, split.by_groups);
  c.panels = {share.begin * kPanelGroup, std::min(panels, share.end * kPanelGroup)};
  Convolve(c, tiling_);
}

const char* ConvolutionLayer::kind() const {
  switch (tiling_) {
    case Tiling::kF4:
      return options_.transform_at_use ? "convolution, F(4x4) at use" : "convolution, F(4x4)";
    case Tiling::kF2:
      return options_.transform_at_use ? "convolution, F(2x2) at use" : "convolution, F(2x2)";
    case Tiling::kDirect:
      break;
  }
  return options_.kernel == 1 ? "product" : "convolution, directly";
}

size_t ConvolutionLayer::TransformsAtUse(const Options& o) {
  const Tiling tiling = TilingOf(o);
  const size_t tiles = TilesOf(o.out.height, o.out.width, tiling);
  if (tiling == Tiling::kDirect || tiles > kMostTilesAtUse) return 0;
  const size_t block = TileBlockSize(static_cast<size_t>(tiling) + 2, o.in[0].channels);
  return (tiles + block - 1) / block * o.in[0].channels * o.out.channels;
}

double ConvolutionLayer::Operations(const Options& o) {
  return 2.0 * static_cast<double>(o.kernel * o.kernel) *
         static_cast<double>(o.in[0].channels + o.in[1].channels) *
         static_cast<double>(o.out.channels) * static_cast<double>(o.out.pixels());
}

}  // namespace diffusiond
