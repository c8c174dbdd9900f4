// 3x3 convolutions with a quarter of the multiplications: Winograd's minimal filtering F(4x4, 3x3)
// (Lavin and Gray 2016), forward and backward, by the kernels that CPUs draw with
// (model/cpu_network), for LibTorch's tensors. LibTorch itself has direct convolutions only.
#ifndef DIFFUSIOND_MODEL_UNET_WINOGRAD_H_
#define DIFFUSIOND_MODEL_UNET_WINOGRAD_H_

#include <torch/torch.h>

#include <cstdint>

namespace diffusiond {

// Whether this CPU has vectors with fused multiply-adds; without, it is far slower.
bool HasWinograd();

// Output tiles of 4x4 pixels from which on it is faster than a direct convolution.
inline constexpr size_t kFewestWinogradTiles = 32;

// Whether WinogradConvolution takes these and is the faster way: float32 on a CPU, a 3x3 kernel,
// channels in multiples of 16, enough tiles. Depends on shapes and types alone.
bool SuitsWinograd(const torch::Tensor& x, const torch::Tensor& weight);

// conv2d with stride 1 and padding 1; differentiable once. x [B, in, H, W], weight [out, in, 3, 3],
// bias [out] -> [B, out, H, W]. Up to about 1e-5 from a direct convolution where values are near 1.
// SuitsWinograd must hold. Images are divided among LibTorch's threads; a row's result depends on
// none of the others. Thread-safe; keeps buffers for each thread, which grow to the largest call's.
torch::Tensor WinogradConvolution(const torch::Tensor& x, const torch::Tensor& weight,
                                  const torch::Tensor& bias);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_WINOGRAD_H_
