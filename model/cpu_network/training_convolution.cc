#include "model/cpu_network/training_convolution.h"

#include <algorithm>
#include <vector>

#include "model/cpu_network/blocking.h"
#include "model/cpu_network/float_array.h"
#include "model/cpu_network/gradient_blocking.h"

namespace diffusiond {
namespace {

// What goes through the weights together: enough tiles that reading them is worth it, few enough
// that they stay near.
constexpr size_t kTilesAtOnce = 64;

// A thread's memory, which grows to its largest use.
class Workspace {
 public:
  float* Take(size_t floats) {
    if (floats > size_) {
      floats_ = nullptr;
      size_ = 0;
      floats_ = MakeFloatArray(floats);
      size_ = floats;
    }
    return floats_.get();
  }

 private:
  FloatArray floats_;
  size_t size_ = 0;
};

// Some images of a batch with channels last, in memory of the thread's.
class Turned {
 public:
  Turned(const BatchShape& shape, size_t channels, float* memory)
      : pixels_(shape.height * shape.width),
        images_{.data = memory,
                .row_stride = pixels_ * channels,
                .height = shape.height,
                .width = shape.width,
                .channels = channels,
                .stride = channels} {}
  static size_t Floats(const BatchShape& shape, size_t rows, size_t channels) {
    return rows * shape.height * shape.width * channels;
  }

  const Images& images() const { return images_; }

  void Read(const float* batch, size_t first_row, size_t rows) {
    for (size_t row = 0; row < rows; ++row) {
      Turn({batch + (first_row + row) * images_.row_stride, pixels_}, images_.channels, pixels_,
           images_.data + row * images_.row_stride, images_.channels);
    }
  }
  void Write(float* batch, size_t first_row, size_t rows) const {
    for (size_t row = 0; row < rows; ++row) {
      Turn({images_.data + row * images_.row_stride, images_.channels}, pixels_, images_.channels,
           batch + (first_row + row) * images_.row_stride, pixels_);
    }
  }

 private:
  const size_t pixels_;
  const Images images_;
};

Part ShareOfThread(size_t units, int thread, int threads) {
  return {units * static_cast<size_t>(thread) / static_cast<size_t>(threads),
          units * (static_cast<size_t>(thread) + 1) / static_cast<size_t>(threads)};
}

// Images that have so many tiles.
size_t RowsOf(const BatchShape& shape, size_t tiles) {
  const size_t of_image = TilesOfF4(1, shape.height, shape.width);
  return (tiles + of_image - 1) / of_image;
}

// f(first row, rows) for a thread's images, `most` of them at a time.
template <typename Function>
void ForEachPass(Part rows, size_t most, const Function& f) {
  for (size_t row = rows.begin; row < rows.end; row += most) {
    f(row, std::min(most, rows.end - row));
  }
}

// Some groups of panels of the weights, packed; `by_tap` has room for all of them.
void PackGroups(const ConvolutionWeights& weights, Part groups, float* by_tap, float* packed) {
  const size_t begin = groups.begin * kGroupChannels;
  const size_t end = std::min(weights.outputs(), groups.end * kGroupChannels);
  if (weights.turned) {
    for (size_t out = 0; out < weights.out; ++out) {
      Turn({weights.data + (out * weights.in + begin) * kTaps, kTaps}, end - begin, kTaps,
           by_tap + out * kTaps * weights.in + begin, weights.in);
    }
  } else {
    const size_t columns = weights.in * kTaps;
    Turn({weights.data + begin * columns, columns}, end - begin, columns, by_tap + begin,
         weights.out);
  }
  PackKernels({.weights = by_tap,
               .in = weights.inputs(),
               .out = weights.outputs(),
               .turned = weights.turned},
              groups, packed);
}

void ConvolveRows(const BatchShape& shape, Part rows, const float* x,
                  const ConvolutionWeights& weights, const float* packed, const float* bias,
                  const float* zeros, float* y) {
  static thread_local Workspace workspace;
  const size_t most = RowsOf(shape, kTilesAtOnce);
  float* memory = workspace.Take(Turned::Floats(shape, most, weights.inputs()) +
                                 Turned::Floats(shape, most, weights.outputs()) +
                                 ConvolutionScratch(Tiling::kF4, 3, weights.inputs()));
  Turned in(shape, weights.inputs(), memory);
  memory += Turned::Floats(shape, most, weights.inputs());
  Turned out(shape, weights.outputs(), memory);
  memory += Turned::Floats(shape, most, weights.outputs());
  Convolution c;
  c.in[0] = in.images();
  c.weights = packed;
  c.zeros = zeros;
  c.out = out.images();
  c.epilogue.bias = bias != nullptr ? bias : zeros;
  c.panels = {0, Panels(weights.outputs())};
  c.scratch = memory;
  ForEachPass(rows, most, [&](size_t row, size_t count) {
    in.Read(x, row, count);
    c.rows = count;
    c.pixels = {0, TilesOfF4(count, shape.height, shape.width)};
    Convolve(c, Tiling::kF4);
    out.Write(y, row, count);
  });
}

void AddRows(const BatchShape& shape, Part rows, const float* x, size_t in, const float* dy,
             size_t out, float* sums) {
  static thread_local Workspace workspace;
  const size_t most = RowsOf(shape, GradientBlock(in, out).tiles);
  float* memory = workspace.Take(Turned::Floats(shape, most, in) +
                                 Turned::Floats(shape, most, out) + WeightGradientScratch(in, out));
  Turned x_turned(shape, in, memory);
  memory += Turned::Floats(shape, most, in);
  Turned dy_turned(shape, out, memory);
  memory += Turned::Floats(shape, most, out);
  std::fill_n(sums, WeightGradientSums(in, out), 0.f);
  ForEachPass(rows, most, [&](size_t row, size_t count) {
    x_turned.Read(x, row, count);
    dy_turned.Read(dy, row, count);
    AddWeightGradient({.x = x_turned.images(),
                       .dy = dy_turned.images(),
                       .tiles = {0, TilesOfF4(count, shape.height, shape.width)},
                       .sums = sums,
                       .scratch = memory});
  });
}

}  // namespace

void ConvolveByF4(const BatchShape& shape, const float* x, const ConvolutionWeights& weights,
                  const float* bias, float* y, int threads) {
  static thread_local Workspace workspace;
  const std::vector<float> zeros(std::max(weights.inputs(), weights.outputs()));
  const size_t groups = (Panels(weights.outputs()) + kPanelGroup - 1) / kPanelGroup;
  const size_t packed_size = PackedKernelsSize(weights.inputs(), weights.outputs());
  float* const packed = workspace.Take(packed_size + weights.size());
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int thread = 0; thread < threads; ++thread) {
    PackGroups(weights, ShareOfThread(groups, thread, threads), packed + packed_size, packed);
  }
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int thread = 0; thread < threads; ++thread) {
    ConvolveRows(shape, ShareOfThread(shape.rows, thread, threads), x, weights, packed, bias,
                 zeros.data(), y);
  }
}

void WeightGradientByF4(const BatchShape& shape, const float* x, size_t in, const float* dy,
                        size_t out, float* gradient, int threads) {
  static thread_local Workspace workspace;
  const size_t size = WeightGradientSums(in, out);
  float* const all_sums = workspace.Take(static_cast<size_t>(threads) * size + in * kTaps * out);
  float* const by_tap = all_sums + static_cast<size_t>(threads) * size;
  std::vector<const float*> sums;
  for (int thread = 0; thread < threads; ++thread) {
    sums.push_back(all_sums + static_cast<size_t>(thread) * size);
  }
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int thread = 0; thread < threads; ++thread) {
    AddRows(shape, ShareOfThread(shape.rows, thread, threads), x, in, dy, out,
            all_sums + static_cast<size_t>(thread) * size);
  }
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int thread = 0; thread < threads; ++thread) {
    const Part inputs = ShareOfThread(in, thread, threads);
    FinishWeightGradient(sums.data(), sums.size(), in, out, inputs, by_tap);
    Turn({by_tap + inputs.begin * kTaps * out, out}, (inputs.end - inputs.begin) * kTaps, out,
         gradient + inputs.begin * kTaps, in * kTaps);
  }
}

}  // namespace diffusiond
