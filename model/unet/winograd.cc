#include "model/unet/winograd.h"

#include "model/cpu_network/training_convolution.h"

namespace diffusiond {
namespace {

size_t Size(int64_t size) { return static_cast<size_t>(size); }

BatchShape ShapeOf(const torch::Tensor& x) {
  return {.rows = Size(x.size(0)), .height = Size(x.size(2)), .width = Size(x.size(3))};
}

ConvolutionWeights WeightsOf(const torch::Tensor& weight, bool turned = false) {
  return {.data = weight.data_ptr<float>(),
          .in = Size(weight.size(1)),
          .out = Size(weight.size(0)),
          .turned = turned};
}

// All tensors are contiguous, here and below.
torch::Tensor Forward(const torch::Tensor& x, const torch::Tensor& weight,
                      const torch::Tensor& bias) {
  torch::Tensor y = torch::empty({x.size(0), weight.size(0), x.size(2), x.size(3)}, x.options());
  ConvolveByF4(ShapeOf(x), x.data_ptr<float>(), WeightsOf(weight), bias.data_ptr<float>(),
               y.data_ptr<float>(), at::get_num_threads());
  return y;
}

torch::Tensor GradientOfInput(const torch::Tensor& dy, const torch::Tensor& weight) {
  torch::Tensor dx =
      torch::empty({dy.size(0), weight.size(1), dy.size(2), dy.size(3)}, dy.options());
  ConvolveByF4(ShapeOf(dy), dy.data_ptr<float>(), WeightsOf(weight, /*turned=*/true), nullptr,
               dx.data_ptr<float>(), at::get_num_threads());
  return dx;
}

torch::Tensor GradientOfWeight(const torch::Tensor& x, const torch::Tensor& dy) {
  torch::Tensor gradient = torch::empty({dy.size(1), x.size(1), 3, 3}, x.options());
  WeightGradientByF4(ShapeOf(x), x.data_ptr<float>(), Size(x.size(1)), dy.data_ptr<float>(),
                     Size(dy.size(1)), gradient.data_ptr<float>(), at::get_num_threads());
  return gradient;
}

class WinogradFunction : public torch::autograd::Function<WinogradFunction> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight, const torch::Tensor& bias) {
    context->save_for_backward({x, weight});
    return Forward(x.contiguous(), weight.contiguous(), bias.contiguous());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const torch::Tensor x = saved[0].contiguous(), weight = saved[1].contiguous();
    const torch::Tensor dy = gradients[0].contiguous();
    torch::Tensor of_x, of_weight, of_bias;
    if (context->needs_input_grad(0)) of_x = GradientOfInput(dy, weight);
    if (context->needs_input_grad(1)) of_weight = GradientOfWeight(x, dy);
    if (context->needs_input_grad(2)) of_bias = dy.sum({0, 2, 3});
    return {of_x, of_weight, of_bias};
  }
};

}  // namespace

bool HasWinograd() {
  static const bool has = KernelTargets().front() != "baseline";
  return has;
}

torch::Tensor WinogradConvolution(const torch::Tensor& x, const torch::Tensor& weight,
                                  const torch::Tensor& bias) {
  const bool wants_gradient = torch::GradMode::is_enabled() &&
                              (x.requires_grad() || weight.requires_grad() || bias.requires_grad());
  return wants_gradient ? WinogradFunction::apply(x, weight, bias)
                        : Forward(x.contiguous(), weight.contiguous(), bias.contiguous());
}

bool SuitsWinograd(const torch::Tensor& x, const torch::Tensor& weight) {
  constexpr int64_t channels = kPanel;
  if (!HasWinograd() || !x.device().is_cpu() || x.scalar_type() != torch::kFloat32 ||
      weight.scalar_type() != torch::kFloat32 || weight.size(2) != 3 || weight.size(3) != 3) {
    return false;
  }
  return weight.size(0) % channels == 0 && weight.size(1) % channels == 0 &&
         TilesOfF4(Size(x.size(0)), Size(x.size(2)), Size(x.size(3))) >= kFewestWinogradTiles;
}

}  // namespace diffusiond
