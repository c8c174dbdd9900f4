#include "model/unet/unet_denoiser.h"

#include <cstring>
#include <exception>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"

namespace diffusiond {

UNetDenoiser::UNetDenoiser(std::shared_ptr<const UNet> network, const Options& options)
    : network_(std::move(network)), options_(options) {}

ImageShape UNetDenoiser::shape() const {
  const UNetConfig& config = network_->config();
  return {static_cast<int>(config.in_channels), static_cast<int>(config.sample_height),
          static_cast<int>(config.sample_width)};
}

int UNetDenoiser::output_channels() const {
  return static_cast<int>(network_->config().out_channels);
}

absl::Status UNetDenoiser::Predict(std::span<const float> x, std::span<const float> timesteps,
                                   std::span<const int64_t> labels, std::span<float> f) {
  try {
    torch::InferenceMode inference;
    // OpenMP keeps the count per thread, and a lane's thread starts with the machine's.
    if (at::get_num_threads() != options_.intra_op_threads) {
      at::set_num_threads(options_.intra_op_threads);
    }
    const ImageShape shape = this->shape();
    const int64_t rows = options_.rows;
    const auto view = [&](auto* data, at::IntArrayRef sizes, torch::Dtype dtype) {
      using Value = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
      return torch::from_blob(const_cast<Value*>(data), sizes, torch::TensorOptions().dtype(dtype))
          .to(options_.device);
    };
    const torch::Tensor out =
        network_
            ->Forward(
                view(x.data(), {rows, shape.channels, shape.height, shape.width}, torch::kFloat32),
                view(timesteps.data(), {rows}, torch::kFloat32),
                view(labels.data(), {rows}, torch::kInt64))
            .to(torch::kCPU)
            .contiguous();
    if (out.numel() != static_cast<int64_t>(f.size())) {
      return absl::InternalError(
          absl::StrCat("the network gave ", out.numel(), " values; expected ", f.size()));
    }
    std::memcpy(f.data(), out.data_ptr<float>(), f.size_bytes());
    return absl::OkStatus();
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
