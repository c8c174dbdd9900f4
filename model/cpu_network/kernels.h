// What the network's layers are computed with: one set of kernels, compiled for each instruction
// set and chosen when the program runs.
//
// Each output is one fixed sequence of IEEE single-precision operations, in which fused
// multiply-adds are named as such: it depends on the layer's shape alone, not on how many images
// are computed together, which part of the outputs a call is for, or how wide a vector is. So the
// bytes are the same on every machine; README.md has the sequences.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_KERNELS_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace diffusiond {

// Output channels lie in panels of so many, and a pixel's channels fill whole panels. What stands
// in the rest of the last one is nobody's.
inline constexpr size_t kPanel = 16;
inline size_t Panels(size_t channels) { return (channels + kPanel - 1) / kPanel; }
inline size_t WholePanels(size_t channels) { return Panels(channels) * kPanel; }

// Sums are cut into blocks of so many terms, whose sums are then added in order.
inline constexpr size_t kSumBlock = 16;
// Terms whose weights lie together: whole blocks.
inline constexpr size_t kDepth = 64;

// Output panels whose weights lie together.
inline constexpr size_t kPanelGroup = 2;

// Of a 3x3 kernel.
inline constexpr size_t kTaps = 9;

// How a 3x3 convolution of stride 1 is computed: directly, or in tiles of 2x2 or 4x4 outputs.
enum class Tiling { kDirect = 0, kF2 = 2, kF4 = 4 };

// Images side by side: [rows][height][width][stride], `channels` of `stride` in use.
struct Images {
  float* data = nullptr;
  size_t row_stride = 0;  // Floats from one image to the next.
  size_t height = 0, width = 0;
  size_t channels = 0;
  size_t stride = 0;  // Floats from one pixel to the next.
};

// What becomes of a convolution's sum: (sum + bias + residual) / divisor.
struct Epilogue {
  const float* bias = nullptr;  // Whole panels.
  size_t bias_row_stride = 0;   // Floats from one image's to the next's; 0: the same for all.
  Images residual;              // data null: none.
  size_t residual_shift = 0;    // 1: the residual is half as large, each pixel taken four times.
  float divisor = 1;
};

// A part of the outputs: units from `begin` to before `end`.
struct Part {
  size_t begin = 0, end = 0;
};

struct Convolution {
  size_t rows = 0;  // Images.
  // The input's channels are those of the first, then of the second, which may be missing, and is
  // for Winograd.
  Images in[2];
  size_t in_shift = 0;  // 1: the input is enlarged, each pixel taken four times.
  size_t kernel = 3, stride = 1, padding = 1;  // padding 0 with stride 2: one column and row after.
  const float* weights = nullptr;              // As packed_weights.h lays them.
  bool transform_at_use = false;               // Winograd's weights are kernels as they are.
  const float* zeros = nullptr;                // As many as the input has channels.
  Images out;
  Epilogue epilogue;
  Part pixels;               // Of rows * height * width of `out`; tiles, for Winograd.
  Part panels;               // Of the output's; whole groups, for Winograd.
  float* scratch = nullptr;  // ConvolutionScratch floats.
};

// Floats that a convolution of so many input channels wants beside its input and output.
size_t ConvolutionScratch(Tiling tiling, size_t kernel, size_t in_channels);

// Winograd is for 3x3 convolutions of stride 1 and padding 1.
void Convolve(const Convolution& convolution, Tiling tiling);

// The transforms G g G^T of 3x3 kernels g, in double precision, rounded once:
// [channel][panel][tap][kPanel] become [frequency][panel][channel][kPanel], frequencies `stride`
// floats apart.
void TransformKernels(Tiling tiling, const float* kernels, size_t channels, size_t panels,
                      float* transforms, size_t stride);

// Of each channel over all pixels: mean, and the sum of squared deviations from it. [channels]
// each.
void ChannelMoments(const Images& image, size_t row, Part panels, double* mean, double* deviation);

// y = (x - mean) * scale + shift, then SiLU where asked for; channel by channel.
struct Normalization {
  Images in[2];
  Images out;
  const float* mean = nullptr;  // Of all the input's channels; likewise the others.
  const float* scale = nullptr;
  const float* shift = nullptr;
  bool silu = true;
};
void Normalize(const Normalization& normalization, size_t row, Part pixels);

// Self-attention of one head. q, k, v: `dim` channels of `pixels` pixels, `stride` floats apart.
struct Attention {
  const float* q = nullptr;
  const float* k = nullptr;
  const float* v = nullptr;
  size_t stride = 0;
  size_t pixels = 0;
  size_t dim = 0;
  float* packed = nullptr;  // AttentionPacked floats: k and v as PackAttention lays them.
  float* out = nullptr;     // softmax(q k^T) v; of the head's channels.
  size_t out_stride = 0;
  Part queries;
  float* scratch = nullptr;  // AttentionScratch floats.
};
size_t AttentionPacked(size_t pixels, size_t dim);
size_t AttentionScratch(size_t pixels, size_t dim);
void PackAttention(const Attention& attention);
void Attend(const Attention& attention);

// In place, `count` a multiple of kPanel.
void SiluInPlace(float* x, size_t count);
void ExpInPlace(float* x, size_t count);

// The instruction sets that this machine has kernels for, best first: "avx512", "avx2", "neon",
// "baseline". The first is used; the last has no fused multiply-add of its own, and takes many
// times as long for the same bytes.
std::vector<std::string> KernelTargets();

// Uses another one of them from now on, for tests. No kernel may be running.
void UseKernelTarget(const std::string& target);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_KERNELS_H_
