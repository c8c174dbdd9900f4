// Lays a U-Net out as a list of layers.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_UNET_BUILDER_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_UNET_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/checkpoint/check_tensors.h"
#include "model/config/unet_config.h"
#include "model/cpu_network/arena.h"
#include "model/cpu_network/attention_projections.h"
#include "model/cpu_network/cpu_unet.h"
#include "model/cpu_network/float_array.h"
#include "model/cpu_network/layer.h"

namespace diffusiond {

// Follows UNet::Compute, block by block (model/unet), and holds each activation's slot as long as
// something reads it. Build once.
class UNetBuilder {
 public:
  // Only finds out which parameters there are, which residual blocks, and how large all is.
  explicit UNetBuilder(const UNetConfig& config) : config_(config) {}
  // `listed` has built; `read` gives the values of the parameters that it found.
  using ReadParameter = std::function<std::vector<float>(const std::string& name)>;
  UNetBuilder(const UNetBuilder& listed, ReadParameter read)
      : config_(listed.config_),
        read_(std::move(read)),
        weights_(MakeFloatArray(listed.size_.weights)),
        resnets_(listed.resnets_),
        transforms_at_use_(listed.transforms_at_use_) {}

  void Build();

  const ParameterList& parameters() const { return parameters_; }
  const CpuUNetSize& size() const { return size_; }
  // Layers read the weights.
  FloatArray TakeWeights() { return std::move(weights_); }
  std::vector<std::unique_ptr<Layer>> TakeLayers() { return std::move(layers_); }

 private:
  enum class Resample { kNone, kDown, kUp };

  struct Resnet {
    std::string name;
    size_t out = 0;
    Resample resample = Resample::kNone;
    float divisor = 1;
  };

  struct AttentionBlock {
    std::string name;
    size_t heads = 1;
    std::optional<int64_t> groups;  // Absent: no group norm.
    float divisor = 1;
  };

  // What a block reads: one activation, or two whose channels follow each other.
  struct Value {
    // NOLINTNEXTLINE(google-explicit-constructor): most read one.
    Value(const Slot& slot) : slots{slot, {}} {}
    Value(const Slot& slot, const Slot& more) : slots{slot, more} {}
    size_t channels() const { return slots[0].channels + slots[1].channels; }
    Slot slots[2];
  };

  bool lists_only() const { return read_ == nullptr; }
  void Add(std::unique_ptr<Layer> layer);
  // Chooses its transform_at_use.
  void AddConvolution(ConvolutionLayer::Options& options);
  void ChooseTransforms();
  void Release(const Value& value);
  // The parameter's values; nothing if only lists are wanted.
  std::vector<float> Take(const std::string& name, std::vector<int64_t> shape);
  std::vector<float> TakeMatrix(const std::string& name, size_t out, size_t in);
  Linear TakeLinear(const std::string& name, size_t channels);  // NAME.weight and NAME.bias.

  // Timestep and class, and what each residual block makes of them.
  void BuildTimeEmbedding();
  void BuildProjections(const Slot& embedding);
  void CountProjections();
  // Blocks ask in the order in which they run.
  Slot NextProjection(const Resnet& resnet);

  // A convolution of `in` under NAME.weight and NAME.bias into a new slot. The input stays held.
  Slot BuildConvolution(const std::string& name, const Value& in, size_t out, size_t kernel,
                        ConvolutionLayer::Options options = {});
  Slot BuildNorm(const std::string& name, const Value& in, int64_t groups, const Slot& scale_shift,
                 bool silu);
  Slot BuildPooling(const Slot& in);

  // Blocks let go of what they read.
  Slot BuildResnet(const Resnet& resnet, const Value& in);
  Slot BuildAttention(const AttentionBlock& block, const Slot& in);
  Slot BuildDown(size_t level, Slot x);
  Slot BuildMiddle(Slot x);
  Slot BuildUp(size_t index, Slot x);
  AttentionBlock AttentionOf(size_t channels) const;

  const UNetConfig config_;
  const ReadParameter read_;
  FloatArray weights_;  // All layers' packed ones, in the order in which they run.
  ParameterList parameters_;
  ArenaPlan arena_;
  std::vector<std::unique_ptr<Layer>> layers_;
  std::vector<Slot> skips_;
  std::vector<Resnet> resnets_;  // In the order in which they run.
  Slot projections_;
  CpuUNetSize size_;
  size_t projected_ = 0;  // Channels of `projections_` that blocks have taken.
  // What ChooseTransforms judges by, and what it says.
  double operations_ = 0, transforms_ = 0;
  size_t saved_ = 0;  // Floats of weights that would not be there.
  bool transforms_at_use_ = false;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_UNET_BUILDER_H_
