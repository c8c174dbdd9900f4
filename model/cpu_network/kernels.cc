#include "model/cpu_network/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/cpu_network/kernels.cc"
#include "hwy/foreach_target.h"  // Includes this file once for each instruction set.
//
#include "hwy/highway.h"
#include "hwy/targets.h"
#include "model/cpu_network/attention-inl.h"
#include "model/cpu_network/convolution-inl.h"
#include "model/cpu_network/group_norm-inl.h"
#include "model/cpu_network/winograd-inl.h"

#if HWY_ONCE
namespace diffusiond {
namespace {

std::string NameOf(int64_t target) {
  switch (target) {
    case HWY_AVX3:
      return "avx512";
    case HWY_AVX2:
      return "avx2";
    case HWY_NEON:
      return "neon";
    default:
      return "baseline";
  }
}

// Highway would leave out those that UseKernelTarget has not chosen.
const std::vector<int64_t>& Targets() {
  static const auto& targets = *new std::vector<int64_t>(hwy::SupportedAndGeneratedTargets());
  return targets;
}

}  // namespace

HWY_EXPORT(Convolve);
HWY_EXPORT(TransformKernels);
HWY_EXPORT(ChannelMoments);
HWY_EXPORT(Normalize);
HWY_EXPORT(PackAttention);
HWY_EXPORT(Attend);
HWY_EXPORT(SiluInPlace);
HWY_EXPORT(ExpInPlace);

size_t ConvolutionScratch(Tiling tiling, size_t kernel, size_t in_channels) {
  if (tiling == Tiling::kDirect) {
    return RowPointerFloats(kernel) + kPixelBlock * kGroupChannels;
  }
  const size_t size = static_cast<size_t>(tiling) + 2;
  const size_t tiles = TileBlockSize(size, in_channels);
  return size * size *
         (TileInputStride(tiles, in_channels) + TileSumStride(tiles) + kTransformStride);
}

void Convolve(const Convolution& convolution, Tiling tiling) {
  HWY_DYNAMIC_DISPATCH(Convolve)(convolution, tiling);
}

void TransformKernels(Tiling tiling, const float* kernels, size_t channels, size_t panels,
                      float* transforms, size_t stride) {
  HWY_DYNAMIC_DISPATCH(TransformKernels)(tiling, kernels, channels, panels, transforms, stride);
}

void ChannelMoments(const Images& image, size_t row, Part panels, double* mean, double* deviation) {
  HWY_DYNAMIC_DISPATCH(ChannelMoments)(image, row, panels, mean, deviation);
}

void Normalize(const Normalization& normalization, size_t row, Part pixels) {
  HWY_DYNAMIC_DISPATCH(Normalize)(normalization, row, pixels);
}

size_t AttentionPacked(size_t pixels, size_t dim) {
  return WholePanels(pixels) * dim + pixels * WholePanels(dim);
}

size_t AttentionScratch(size_t pixels, size_t dim) {
  return kQueryBlock * (WholePanels(pixels) + WholePanels(dim));
}

void PackAttention(const Attention& attention) { HWY_DYNAMIC_DISPATCH(PackAttention)(attention); }

void Attend(const Attention& attention) { HWY_DYNAMIC_DISPATCH(Attend)(attention); }

void SiluInPlace(float* x, size_t count) { HWY_DYNAMIC_DISPATCH(SiluInPlace)(x, count); }

void ExpInPlace(float* x, size_t count) { HWY_DYNAMIC_DISPATCH(ExpInPlace)(x, count); }

std::vector<std::string> KernelTargets() {
  std::vector<std::string> names;
  for (const int64_t target : Targets()) names.push_back(NameOf(target));
  return names;
}

void UseKernelTarget(const std::string& name) {
  for (const int64_t target : Targets()) {
    if (NameOf(target) == name) hwy::SetSupportedTargetsForTest(target);
  }
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace diffusiond
#endif  // HWY_ONCE
