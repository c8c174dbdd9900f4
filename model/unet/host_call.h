// Calls of a network whose input and output are in host memory: what a Denoiser, a NoiseClassifier
// and a NetworkVjp have in common.
#ifndef DIFFUSIOND_MODEL_UNET_HOST_CALL_H_
#define DIFFUSIOND_MODEL_UNET_HOST_CALL_H_

#include <torch/torch.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <span>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace diffusiond {

// A tensor that looks at `values`, float or int64_t, which must outlive it; only to be read from.
template <typename T>
torch::Tensor HostView(std::span<const T> values, at::IntArrayRef sizes) {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, int64_t>);
  return torch::from_blob(
      const_cast<T*>(values.data()), sizes,
      torch::TensorOptions().dtype(std::is_same_v<T, float> ? torch::kFloat32 : torch::kInt64));
}

// INTERNAL if the tensor, float32 on any device, has not as many values.
inline absl::Status CopyToHost(const torch::Tensor& from, std::span<float> to) {
  const torch::Tensor host = from.detach().to(torch::kCPU).contiguous();
  if (host.numel() != static_cast<int64_t>(to.size())) {
    return absl::InternalError(
        absl::StrCat("the network gave ", host.numel(), " values; expected ", to.size()));
  }
  std::memcpy(to.data(), host.data_ptr<float>(), to.size_bytes());
  return absl::OkStatus();
}

// Runs `call`, which returns a Status, with this many threads of its own on the CPU; a result's
// bytes depend on the number. LibTorch's exceptions become INTERNAL, or RESOURCE_EXHAUSTED.
template <typename Call>
absl::Status CallNetwork(int intra_op_threads, Call&& call) {
  try {
    // OpenMP keeps the count per thread, and a lane's thread starts with the machine's.
    if (at::get_num_threads() != intra_op_threads) at::set_num_threads(intra_op_threads);
    return call();
  } catch (const c10::OutOfMemoryError& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the network ran out of memory: ", error.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("the network ran out of memory");
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("the network failed: ", error.what()));
  }
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_UNET_HOST_CALL_H_
