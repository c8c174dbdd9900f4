#include "model/evaluation/unet_vjp.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/unet/unet_checkpoint.h"

namespace diffusiond {
namespace {

class UNetVjp : public NetworkVjp {
 public:
  UNetVjp(std::shared_ptr<const UNet> network, int rows)
      : network_(std::move(network)), rows_(rows) {}

  ImageShape shape() const override {
    const UNetConfig& config = network_->config();
    return {static_cast<int>(config.in_channels), static_cast<int>(config.sample_height),
            static_cast<int>(config.sample_width)};
  }
  int rows() const override { return rows_; }

  absl::Status Evaluate(std::span<const float> x, std::span<const float> timesteps,
                        std::span<const int64_t> labels, std::span<const float> probe,
                        std::span<float> f, std::span<float> vjp) override {
    try {
      if (at::get_num_threads() != 1) at::set_num_threads(1);
      const ImageShape shape = this->shape();
      const std::vector<int64_t> sizes = {rows_, shape.channels, shape.height, shape.width};
      const auto view = [](const auto* data, at::IntArrayRef view_sizes, torch::Dtype dtype) {
        using Value = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
        return torch::from_blob(const_cast<Value*>(data), view_sizes,
                                torch::TensorOptions().dtype(dtype));
      };
      const torch::Tensor in =
          view(x.data(), sizes, torch::kFloat32).clone().set_requires_grad(true);
      const torch::Tensor out =
          network_->Forward(in, view(timesteps.data(), {rows_}, torch::kFloat32),
                            view(labels.data(), {rows_}, torch::kInt64));
      if (out.numel() != static_cast<int64_t>(f.size())) {
        return absl::InternalError(
            absl::StrCat("the network gave ", out.numel(), " values; expected ", f.size()));
      }
      const torch::Tensor gradient =
          torch::autograd::grad({out}, {in}, {view(probe.data(), sizes, torch::kFloat32)})[0]
              .contiguous();
      std::memcpy(f.data(), out.detach().contiguous().data_ptr<float>(), f.size_bytes());
      std::memcpy(vjp.data(), gradient.data_ptr<float>(), vjp.size_bytes());
      return absl::OkStatus();
    } catch (const std::exception& error) {
      return absl::InternalError(absl::StrCat("the network failed: ", error.what()));
    }
  }

 private:
  const std::shared_ptr<const UNet> network_;
  const int rows_;
};

}  // namespace

absl::StatusOr<std::vector<std::unique_ptr<NetworkVjp>>> VjpLanesOnAllCores(
    const Checkpoint& checkpoint, int rows) {
  absl::StatusOr<std::shared_ptr<UNet>> network = LoadUNet(checkpoint);
  if (!network.ok()) return network.status();
  // Only the input's gradient is asked for.
  for (torch::Tensor& parameter : (*network)->parameters()) parameter.set_requires_grad(false);
  std::vector<std::unique_ptr<NetworkVjp>> lanes;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
    lanes.push_back(std::make_unique<UNetVjp>(*network, rows));
  }
  return lanes;
}

}  // namespace diffusiond
