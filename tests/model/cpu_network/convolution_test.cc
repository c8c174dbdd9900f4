// Convolutions of every kind against the definition, in double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "model/cpu_network/kernels.h"
#include "model/cpu_network/layer.h"
#include "model/sampling/row_noise.h"

namespace diffusiond {
namespace {

struct Shape {
  const char* name;
  size_t in, more_in, out;
  size_t height, width;  // Of the input.
  size_t kernel, stride, padding, in_shift;
  bool residual;
  friend std::ostream& operator<<(std::ostream& out, const Shape& shape) {
    return out << shape.name;
  }
};

constexpr Shape kShapes[] = {
    {"conv_in", 3, 0, 32, 8, 8, 3, 1, 1, 0, false},
    {"of_28_pixels_in_tiles_of_4", 16, 0, 48, 28, 28, 3, 1, 1, 0, true},
    {"of_14_by_18_pixels_that_tiles_overhang", 20, 0, 20, 14, 18, 3, 1, 1, 0, true},
    {"of_16_pixels_and_many_channels", 150, 0, 33, 16, 16, 3, 1, 1, 0, true},
    {"of_7_pixels_in_tiles_of_2", 96, 0, 40, 7, 7, 3, 1, 1, 0, true},
    {"of_4_pixels", 130, 0, 33, 4, 4, 3, 1, 1, 0, true},
    {"of_one_pixel", 17, 0, 5, 1, 1, 3, 1, 1, 0, false},
    {"enlarged_in_tiles", 32, 0, 32, 8, 8, 3, 1, 1, 1, false},
    {"enlarged_directly", 8, 0, 32, 4, 2, 3, 1, 1, 1, false},
    {"half_as_large", 24, 0, 24, 10, 6, 3, 2, 1, 0, false},
    {"half_as_large_without_padding", 24, 0, 24, 10, 6, 3, 2, 0, 0, false},
    {"of_two_inputs", 70, 20, 16, 5, 3, 1, 1, 0, 0, false},
    {"matrix", 200, 0, 100, 1, 1, 1, 1, 0, 0, false},
};

std::vector<float> Noise(uint32_t which, size_t count) {
  std::vector<float> values(count);
  FillRowNoise(/*seed=*/5, which, 0, values);
  return values;
}

class ConvolutionTest : public testing::TestWithParam<Shape> {
 protected:
  ConvolutionTest() {
    const Shape& s = GetParam();
    ArenaPlan plan;
    options_.in[0] = plan.Take(s.height, s.width, s.in);
    if (s.more_in > 0) options_.in[1] = plan.Take(s.height, s.width, s.more_in);
    options_.kernel = s.kernel;
    options_.stride = s.stride;
    options_.padding = s.padding;
    options_.in_shift = s.in_shift;
    const size_t height = (s.height << s.in_shift) / s.stride,
                 width = (s.width << s.in_shift) / s.stride;
    options_.out = plan.Take(height, width, s.out);
    if (s.residual) options_.residual = plan.Take(height, width, s.out);
    options_.divisor = s.residual ? 1.5f : 1.f;
    options_.weights = Noise(1, s.out * (s.in + s.more_in) * s.kernel * s.kernel);
    options_.bias = Noise(2, s.out);
    arena_floats_ = plan.floats();
    arena_ = Noise(3, kRows * arena_floats_);
  }

  static constexpr size_t kRows = 2;

  float At(size_t row, const Slot& slot, size_t y, size_t x, size_t channel) const {
    return arena_[row * arena_floats_ + slot.offset + (y * slot.width + x) * slot.stride() +
                  channel];
  }

  double Expected(size_t row, size_t y, size_t x, size_t out) const {
    const Shape& s = GetParam();
    const size_t height = s.height << s.in_shift, width = s.width << s.in_shift;
    double sum = options_.bias[out];
    for (size_t dy = 0; dy < s.kernel; ++dy) {
      for (size_t dx = 0; dx < s.kernel; ++dx) {
        const size_t from_y = y * s.stride + dy - s.padding, from_x = x * s.stride + dx - s.padding;
        if (from_y >= height || from_x >= width) continue;
        for (size_t in = 0; in < s.in + s.more_in; ++in) {
          const bool more = in >= s.in;
          const double value = At(row, options_.in[more ? 1 : 0], from_y >> s.in_shift,
                                  from_x >> s.in_shift, more ? in - s.in : in);
          const size_t weight = ((out * (s.in + s.more_in) + in) * s.kernel + dy) * s.kernel + dx;
          sum += value * static_cast<double>(options_.weights[weight]);
        }
      }
    }
    if (s.residual) sum += At(row, options_.residual, y, x, out);
    return sum / static_cast<double>(options_.divisor);
  }

  std::vector<float> Run(size_t threads) {
    std::vector<float> packed(ConvolutionLayer::PackedFloats(options_));
    const ConvolutionLayer layer(options_, packed.data());
    std::vector<float> scratch(layer.scratch_floats());
    LayerRun run;
    run.rows = kRows;
    run.arena_floats = arena_floats_;
    std::vector<float> arena = arena_;
    run.arena = arena.data();
    run.threads = threads;
    run.scratch = scratch.data();
    for (run.thread = 0; run.thread < threads; ++run.thread) layer.Run(run);
    return arena;
  }

  ConvolutionLayer::Options options_;
  size_t arena_floats_ = 0;
  std::vector<float> arena_;
};

TEST_P(ConvolutionTest, IsItsDefinition) {
  const std::vector<float> before = arena_;
  arena_ = Run(1);
  const Slot& out = options_.out;
  const double terms = static_cast<double>(options_.weights.size() / out.channels);
  for (size_t row = 0; row < kRows; ++row) {
    for (size_t pixel = 0; pixel < out.pixels(); ++pixel) {
      for (size_t channel = 0; channel < out.channels; ++channel) {
        const size_t y = pixel / out.width, x = pixel % out.width;
        // Rounding: of sums as large as the root of their terms.
        ASSERT_NEAR(At(row, out, y, x, channel), Expected(row, y, x, channel),
                    1e-5 * std::sqrt(terms))
            << "row " << row << ", y " << y << ", x " << x << ", channel " << channel;
      }
    }
  }
}

// Each thread's part and nothing else: all parts together are what one thread gives, and nothing
// outside the output is touched.
TEST_P(ConvolutionTest, ThreadsDivideIt) {
  const std::vector<float> whole = Run(1);
  for (const size_t threads : {2, 3, 4, 7, 16, 40}) ASSERT_EQ(Run(threads), whole) << threads;
  for (size_t row = 0; row < kRows; ++row) {
    for (size_t i = 0; i < arena_floats_; ++i) {
      const size_t at = row * arena_floats_ + i;
      if (i >= options_.out.offset && i < options_.out.offset + options_.out.floats()) continue;
      ASSERT_EQ(whole[at], arena_[at]) << "float " << i;
    }
  }
}

// Whether Winograd's transforms of kernels are kept or made at each use changes no byte.
TEST_P(ConvolutionTest, KernelsTransformedAtUse) {
  const std::vector<float> kept = Run(1);
  const size_t packed = ConvolutionLayer::PackedFloats(options_);
  options_.transform_at_use = true;
  for (const std::string& target : KernelTargets()) {
    UseKernelTarget(target);
    EXPECT_EQ(Run(1), kept) << target;
    EXPECT_EQ(Run(3), kept) << target << ", 3 threads";
  }
  UseKernelTarget(KernelTargets().front());
  if (ConvolutionLayer::TransformsAtUse(options_) > 0) {
    EXPECT_LE(ConvolutionLayer::PackedFloats(options_) * 16, packed * 9);
  } else {
    EXPECT_LE(ConvolutionLayer::PackedFloats(options_), packed);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ConvolutionTest, testing::ValuesIn(kShapes),
                         [](const auto& info) { return std::string(info.param.name); });

// What a layer's algorithm is, is part of the results: whoever changes it raises kNetworkNumerics.
TEST(ChooseTilingTest, DependsOnTheShape) {
  EXPECT_EQ(ChooseTiling(128, 128, 32, 32), Tiling::kF4);
  EXPECT_EQ(ChooseTiling(128, 128, 14, 14), Tiling::kF4);
  EXPECT_EQ(ChooseTiling(256, 256, 8, 8), Tiling::kF2);
  EXPECT_EQ(ChooseTiling(96, 96, 7, 7), Tiling::kF2);
  EXPECT_EQ(ChooseTiling(256, 256, 4, 4), Tiling::kDirect);
  EXPECT_EQ(ChooseTiling(3, 128, 32, 32), Tiling::kDirect);
}

}  // namespace
}  // namespace diffusiond
