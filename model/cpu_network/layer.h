// A network as a list of layers, each of which any number of threads run together.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_LAYER_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_LAYER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/cpu_network/arena.h"
#include "model/cpu_network/kernels.h"

namespace diffusiond {

// What a thread knows while it runs a layer for some images.
struct LayerRun {
  size_t rows = 1;         // Images, one arena each.
  float* arena = nullptr;  // [rows][arena_floats]
  size_t arena_floats = 0;
  size_t thread = 0, threads = 1;  // Of those that run the layer together.
  float* scratch = nullptr;        // The thread's own, scratch_floats() of the layer at least.
  // The network's inputs and outputs, as of Denoiser::Predict.
  const float* x = nullptr;
  const float* timesteps = nullptr;
  const int64_t* labels = nullptr;
  float* f = nullptr;

  float* Row(const Slot& slot, size_t row) const {
    return arena + row * arena_floats + slot.offset;
  }
  Images At(const Slot& slot) const {
    return {arena + slot.offset, arena_floats,  slot.height,
            slot.width,          slot.channels, slot.stride()};
  }
};

// The thread's share of `units`, as even as can be.
Part ShareOf(size_t units, size_t thread, size_t threads);

// Immutable, so threads may run it together: each does its share of the outputs, and reads what
// layers before have written, so that all must have ended these first.
class Layer {
 public:
  virtual ~Layer() = default;
  virtual void Run(const LayerRun& run) const = 0;
  // What profiles call it.
  virtual const char* kind() const { return "other"; }
  virtual size_t scratch_floats() const { return 0; }
  // Multiplications and additions for one image, as of direct convolutions.
  virtual double operations() const { return 0; }
};

// A convolution, or a product with a matrix.
class ConvolutionLayer : public Layer {
 public:
  struct Options {
    Slot in[2] = {};  // The second may be missing.
    size_t in_shift = 0;
    size_t kernel = 1, stride = 1, padding = 0;
    Slot out = {};
    std::vector<float> weights = {};  // [out, in, kernel, kernel]
    // Winograd's kernels are transformed each time, to the same bytes; less memory, more time.
    bool transform_at_use = false;
    std::vector<float> bias = {};  // [out]; empty: in `row_bias`.
    Slot row_bias = {};            // Each image's own.
    Slot residual = {};
    size_t residual_shift = 0;
    float divisor = 1;
  };
  // `packed`: PackedFloats(options) floats, which are filled and must outlive the layer.
  ConvolutionLayer(const Options& options, float* packed);

  // Of a layer of these options, weights or not: floats of its packed weights, and of its scratch,
  // and the operations of a direct convolution.
  static size_t PackedFloats(const Options& options);
  static size_t ScratchFloats(const Options& options);
  static double Operations(const Options& options);
  // Kernels that are transformed for an image, if they are so at use; 0: they had better not be, as
  // there are none or many tiles.
  static size_t TransformsAtUse(const Options& options);

  void Run(const LayerRun& run) const override;
  const char* kind() const override;
  size_t scratch_floats() const override { return ScratchFloats(options_); }
  double operations() const override { return Operations(options_); }
  Tiling tiling() const { return tiling_; }

 private:
  Options options_;  // Without weights.
  Tiling tiling_;
  const float* const packed_;
  std::vector<float> bias_, zeros_;
};

// Which way a 3x3 convolution of stride 1 goes. Of its shape alone: it is part of the results.
Tiling ChooseTiling(size_t in, size_t out, size_t height, size_t width);

// Each channel's mean and squared deviations, as doubles: [mean, deviation][channels].
class MomentsLayer : public Layer {
 public:
  // `moments`: 1 x 1, MomentFloats(channels) channels.
  MomentsLayer(const Slot& in, const Slot& more, const Slot& moments)
      : in_{in, more}, moments_(moments) {}

  void Run(const LayerRun& run) const override;
  const char* kind() const override { return "normalisation"; }

 private:
  const Slot in_[2];
  const Slot moments_;
};
inline size_t MomentFloats(size_t channels) {
  return 2 * channels * sizeof(double) / sizeof(float);
}

// Group normalisation (Wu and He 2018) of what moments are of; then, where there are any, a scale
// and a shift of each image's own; then SiLU.
class NormalizationLayer : public Layer {
 public:
  struct Options {
    Slot in[2];
    Slot moments;
    Slot out;
    size_t groups = 1;
    double eps = 1e-5;
    std::vector<float> weight, bias;  // [channels]
    Slot scale_shift;                 // 1 x 1; 1 + the first half is the scale.
    bool silu = true;
  };
  explicit NormalizationLayer(Options options) : options_(std::move(options)) {}

  void Run(const LayerRun& run) const override;
  const char* kind() const override { return "normalisation"; }
  size_t scratch_floats() const override;

 private:
  void FindCoefficients(const LayerRun& run, size_t row, float* mean, float* scale,
                        float* shift) const;
  const Options options_;
};

// What attention reads of an image.
struct AttentionSlots {
  // `channels` of each pixel, from a slot's first on. All of one stride.
  Slot q = {}, k = {}, v = {};
  Slot packed = {};  // k and v as AttentionLayer reads them, of all heads.
  size_t channels = 0, heads = 1;
};

// Fills `packed`.
class AttentionPackingLayer : public Layer {
 public:
  explicit AttentionPackingLayer(const AttentionSlots& slots) : slots_(slots) {}

  void Run(const LayerRun& run) const override;
  const char* kind() const override { return "attention"; }

 private:
  const AttentionSlots slots_;
};

// softmax(q k^T) v; k and v from `packed` alone.
class AttentionLayer : public Layer {
 public:
  AttentionLayer(const AttentionSlots& slots, const Slot& out) : slots_(slots), out_(out) {}

  void Run(const LayerRun& run) const override;
  const char* kind() const override { return "attention"; }
  size_t scratch_floats() const override;
  double operations() const override;

 private:
  const AttentionSlots slots_;
  const Slot out_;
};

// The mean of each 2 x 2 pixels.
class PoolingLayer : public Layer {
 public:
  PoolingLayer(const Slot& in, const Slot& out) : in_(in), out_(out) {}
  void Run(const LayerRun& run) const override;

 private:
  const Slot in_, out_;
};

// LayerRun::x into the network, [channels][pixels] to [pixels][channels]; centred: 2 x - 1.
class InputLayer : public Layer {
 public:
  InputLayer(const Slot& out, bool centred) : out_(out), centred_(centred) {}
  void Run(const LayerRun& run) const override;

 private:
  const Slot out_;
  const bool centred_;
};

// And out of it, into LayerRun::f.
class OutputLayer : public Layer {
 public:
  explicit OutputLayer(const Slot& in) : in_(in) {}
  void Run(const LayerRun& run) const override;

 private:
  const Slot in_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_LAYER_H_
