#include "model/cpu_network/unet_builder.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "model/cpu_network/time_layers.h"

namespace diffusiond {
namespace {

void AppendPadded(const std::vector<float>& values, size_t count, std::vector<float>* to) {
  to->insert(to->end(), values.begin(), values.end());
  to->resize(to->size() + count - values.size());
}

}  // namespace

void UNetBuilder::Release(const Value& value) {
  for (const Slot& slot : value.slots) {
    if (slot.channels > 0) arena_.Release(slot);
  }
}

void UNetBuilder::Add(std::unique_ptr<Layer> layer) {
  size_.scratch = std::max(size_.scratch, layer->scratch_floats());
  if (!lists_only()) layers_.push_back(std::move(layer));
}

void UNetBuilder::AddConvolution(ConvolutionLayer::Options& options) {
  const size_t transforms = ConvolutionLayer::TransformsAtUse(options);
  if (lists_only()) {
    operations_ += ConvolutionLayer::Operations(options);
    transforms_ += static_cast<double>(transforms);
    const size_t kept = ConvolutionLayer::PackedFloats(options);
    options.transform_at_use = transforms > 0;
    saved_ += kept - ConvolutionLayer::PackedFloats(options);
    options.transform_at_use = false;
  } else {
    options.transform_at_use = transforms > 0 && transforms_at_use_;
    layers_.push_back(std::make_unique<ConvolutionLayer>(options, weights_.get() + size_.weights));
  }
  size_.weights += ConvolutionLayer::PackedFloats(options);
  size_.scratch = std::max(size_.scratch, ConvolutionLayer::ScratchFloats(options));
}

// Transforms take up to four times their kernels' memory. Where most of the work is at higher
// resolutions, those of the deep layers, which have most of the kernels, are made at each use.
void UNetBuilder::ChooseTransforms() {
  constexpr double kOperationsOfATransform = 1700;  // In the time of one.
  constexpr double kMostOfAll = 0.05;
  transforms_at_use_ = transforms_ * kOperationsOfATransform < kMostOfAll * operations_;
  if (transforms_at_use_) size_.weights -= saved_;
}

std::vector<float> UNetBuilder::Take(const std::string& name, std::vector<int64_t> shape) {
  parameters_.emplace_back(name, std::move(shape));
  return lists_only() ? std::vector<float>() : read_(name);
}

std::vector<float> UNetBuilder::TakeMatrix(const std::string& name, size_t out, size_t in) {
  return Take(name, {static_cast<int64_t>(out), static_cast<int64_t>(in)});
}

void UNetBuilder::BuildTimeEmbedding() {
  const size_t width = static_cast<size_t>(config_.block_out_channels[0]), dim = 4 * width;
  const Slot sinusoids = arena_.Take(1, 1, width), hidden = arena_.Take(1, 1, dim),
             embedding = arena_.Take(1, 1, dim);
  Add(std::make_unique<SinusoidLayer>(sinusoids, config_.flip_sin_to_cos,
                                      static_cast<size_t>(config_.freq_shift)));
  const auto linear = [&](const std::string& name, const Slot& in, const Slot& out) {
    ConvolutionLayer::Options options;
    options.in[0] = in;
    options.out = out;
    options.weights = TakeMatrix(name + ".weight", out.channels, in.channels);
    options.bias = Take(name + ".bias", {static_cast<int64_t>(out.channels)});
    AddConvolution(options);
  };
  linear("time_embedding.linear_1", sinusoids, hidden);
  Add(std::make_unique<EmbeddingSiluLayer>(hidden, std::vector<float>()));
  linear("time_embedding.linear_2", hidden, embedding);
  std::vector<float> classes;
  if (config_.num_class_embeds) {
    classes =
        TakeMatrix("class_embedding.weight", static_cast<size_t>(*config_.num_class_embeds), dim);
  }
  Add(std::make_unique<EmbeddingSiluLayer>(embedding, std::move(classes)));
  if (!lists_only()) BuildProjections(embedding);
  Release(sinusoids);
  Release({hidden, embedding});
}

// One matrix for all blocks. Its bias has the first convolution's in it where the projection is
// added to that one's result.
void UNetBuilder::BuildProjections(const Slot& embedding) {
  const bool scale_shift = config_.resnet_time_scale_shift == "scale_shift";
  ConvolutionLayer::Options options;
  for (const Resnet& resnet : resnets_) {
    const size_t out = scale_shift ? 2 * resnet.out : resnet.out, whole = WholePanels(out);
    const std::string name = absl::StrCat(resnet.name, ".time_emb_proj");
    AppendPadded(TakeMatrix(name + ".weight", out, embedding.channels), whole * embedding.channels,
                 &options.weights);
    std::vector<float> bias = Take(name + ".bias", {static_cast<int64_t>(out)});
    if (!scale_shift) {
      const std::vector<float> first =
          Take(absl::StrCat(resnet.name, ".conv1.bias"), {static_cast<int64_t>(out)});
      for (size_t i = 0; i < out; ++i) bias[i] += first[i];
    }
    AppendPadded(bias, whole, &options.bias);
  }
  projections_ = arena_.Take(1, 1, options.bias.size());
  options.in[0] = embedding;
  options.out = projections_;
  AddConvolution(options);
}

// What BuildProjections will add, once all blocks are known.
void UNetBuilder::CountProjections() {
  const bool scale_shift = config_.resnet_time_scale_shift == "scale_shift";
  ConvolutionLayer::Options options;
  options.in[0].channels = static_cast<size_t>(4 * config_.block_out_channels[0]);
  for (const Resnet& resnet : resnets_) {
    options.out.channels += WholePanels(scale_shift ? 2 * resnet.out : resnet.out);
  }
  AddConvolution(options);
  // They lie above the three vectors that they are made of, whose place is then taken by others.
  size_.arena += options.out.floats() + 3 * options.in[0].floats();
}

Slot UNetBuilder::NextProjection(const Resnet& resnet) {
  const size_t channels =
      config_.resnet_time_scale_shift == "scale_shift" ? 2 * resnet.out : resnet.out;
  const Slot slot = {.offset = projections_.offset + projected_, .channels = channels};
  projected_ += WholePanels(channels);
  return slot;
}

Slot UNetBuilder::BuildConvolution(const std::string& name, const Value& in, size_t out,
                                   size_t kernel, ConvolutionLayer::Options options) {
  const int64_t o = static_cast<int64_t>(out), k = static_cast<int64_t>(kernel);
  const size_t height = in.slots[0].height << options.in_shift;
  const size_t width = in.slots[0].width << options.in_shift;
  options.kernel = kernel;
  for (int i = 0; i < 2; ++i) options.in[i] = in.slots[i];
  options.out = arena_.Take(height / options.stride, width / options.stride, out);
  options.weights =
      Take(absl::StrCat(name, ".weight"), {o, static_cast<int64_t>(in.channels()), k, k});
  if (options.row_bias.channels == 0) options.bias = Take(absl::StrCat(name, ".bias"), {o});
  AddConvolution(options);
  return options.out;
}

Slot UNetBuilder::BuildNorm(const std::string& name, const Value& in, int64_t groups,
                            const Slot& scale_shift, bool silu) {
  const size_t channels = in.channels();
  NormalizationLayer::Options options;
  for (int i = 0; i < 2; ++i) options.in[i] = in.slots[i];
  options.moments = arena_.Take(1, 1, MomentFloats(channels));
  options.out = arena_.Take(in.slots[0].height, in.slots[0].width, channels);
  options.groups = static_cast<size_t>(groups);
  options.eps = config_.norm_eps;
  options.weight = Take(absl::StrCat(name, ".weight"), {static_cast<int64_t>(channels)});
  options.bias = Take(absl::StrCat(name, ".bias"), {static_cast<int64_t>(channels)});
  options.scale_shift = scale_shift;
  options.silu = silu;
  Add(std::make_unique<MomentsLayer>(in.slots[0], in.slots[1], options.moments));
  Add(std::make_unique<NormalizationLayer>(options));
  Release(options.moments);
  return options.out;
}

Slot UNetBuilder::BuildPooling(const Slot& in) {
  const Slot out = arena_.Take(in.height / 2, in.width / 2, in.channels);
  Add(std::make_unique<PoolingLayer>(in, out));
  return out;
}

Slot UNetBuilder::BuildResnet(const Resnet& resnet, const Value& in) {
  const bool scale_shift = config_.resnet_time_scale_shift == "scale_shift";
  const auto named = [&](const char* part) { return absl::StrCat(resnet.name, ".", part); };
  Slot projection;
  if (lists_only()) {
    resnets_.push_back(resnet);
    const size_t projected = scale_shift ? 2 * resnet.out : resnet.out;
    TakeMatrix(named("time_emb_proj.weight"), projected,
               static_cast<size_t>(4 * config_.block_out_channels[0]));
    Take(named("time_emb_proj.bias"), {static_cast<int64_t>(projected)});
  } else {
    projection = NextProjection(resnet);
  }

  Slot h = BuildNorm(named("norm1"), in, config_.norm_num_groups, {}, /*silu=*/true);
  ConvolutionLayer::Options first = {.padding = 1};
  if (resnet.resample == Resample::kDown) {
    const Slot pooled = BuildPooling(h);
    Release(std::exchange(h, pooled));
  }
  first.in_shift = resnet.resample == Resample::kUp ? 1 : 0;
  if (!scale_shift) first.row_bias = projection;
  Slot convolved = BuildConvolution(named("conv1"), h, resnet.out, 3, first);
  Release(std::exchange(h, convolved));
  const Slot normed = BuildNorm(named("norm2"), h, config_.norm_num_groups,
                                scale_shift ? projection : Slot(), /*silu=*/true);
  Release(std::exchange(h, normed));

  ConvolutionLayer::Options second = {.padding = 1};
  second.divisor = resnet.divisor;
  Value shortcut = in;
  if (resnet.resample == Resample::kDown) {
    shortcut = BuildPooling(in.slots[0]);
    Release(in);
  }
  second.residual_shift = resnet.resample == Resample::kUp ? 1 : 0;
  if (in.channels() != resnet.out) {
    const Slot projected = BuildConvolution(named("conv_shortcut"), shortcut, resnet.out, 1);
    Release(std::exchange(shortcut, projected));
  }
  second.residual = shortcut.slots[0];
  const Slot out = BuildConvolution(named("conv2"), h, resnet.out, 3, second);
  Release(h);
  Release(shortcut);
  return out;
}

UNetBuilder::AttentionBlock UNetBuilder::AttentionOf(size_t channels) const {
  const size_t dim =
      static_cast<size_t>(config_.attention_head_dim.value_or(static_cast<int64_t>(channels)));
  return {.name = "", .heads = channels / dim, .groups = config_.norm_num_groups};
}

Linear UNetBuilder::TakeLinear(const std::string& name, size_t channels) {
  return {.weights = TakeMatrix(name + ".weight", channels, channels),
          .bias = Take(name + ".bias", {static_cast<int64_t>(channels)})};
}

// out(softmax(q k^T / sqrt(dim)) v) + the input.
Slot UNetBuilder::BuildAttention(const AttentionBlock& block, const Slot& in) {
  const size_t channels = in.channels, whole = WholePanels(channels);
  Slot normed = in;
  arena_.Hold(in);
  if (block.groups) {
    Release(normed);
    normed = BuildNorm(absl::StrCat(block.name, ".group_norm"), in, *block.groups, {},
                       /*silu=*/false);
  }
  AttentionProjections by = {.q = TakeLinear(block.name + ".to_q", channels),
                             .k = TakeLinear(block.name + ".to_k", channels),
                             .v = TakeLinear(block.name + ".to_v", channels),
                             .out = TakeLinear(block.name + ".to_out.0", channels)};
  AttentionSlots slots = {.channels = channels, .heads = block.heads};
  const bool merges = block.heads == 1 && channels <= kMostMergedChannels;
  if (!lists_only()) {
    const double scale = 1 / std::sqrt(static_cast<double>(channels / block.heads));
    merges ? MergeProjections(scale, &by) : ScaleQueries(scale, &by);
  }
  ConvolutionLayer::Options project;
  project.in[0] = normed;
  project.out = arena_.Take(in.height, in.width, merges ? channels : 3 * whole);
  slots.q = project.out;
  if (merges) {
    slots.k = slots.v = normed;
  } else {
    slots.k = slots.v = slots.q;
    slots.k.offset += whole;
    slots.v.offset += 2 * whole;
  }
  for (const Linear* part : {&by.q, &by.k, &by.v}) {
    if (part->weights.empty()) continue;
    AppendPadded(part->weights, whole * channels, &project.weights);
    AppendPadded(part->bias, whole, &project.bias);
  }
  AddConvolution(project);
  slots.packed =
      arena_.Take(1, 1, block.heads * AttentionPacked(in.pixels(), channels / block.heads));
  Add(std::make_unique<AttentionPackingLayer>(slots));
  Release(normed);
  const Slot attended = arena_.Take(in.height, in.width, channels);
  Add(std::make_unique<AttentionLayer>(slots, attended));
  Release({slots.q, slots.packed});

  ConvolutionLayer::Options to_out;
  to_out.in[0] = attended;
  to_out.out = arena_.Take(in.height, in.width, channels);
  to_out.weights = std::move(by.out.weights);
  to_out.bias = std::move(by.out.bias);
  to_out.residual = in;
  to_out.divisor = block.divisor;
  AddConvolution(to_out);
  Release({attended, in});
  return to_out.out;
}

}  // namespace diffusiond
