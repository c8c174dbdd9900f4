#include "model/unet/recompute.h"

#include <ATen/Context.h>

#include <mutex>
#include <utility>

#include "model/unet/autocast.h"

namespace diffusiond {
namespace {

using Block = std::function<torch::Tensor(const torch::Tensor&, const torch::Tensor&)>;

torch::Tensor GeneratorState(torch::Device device) {
  at::Generator generator = at::globalContext().defaultGenerator(device);
  std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

void SetGeneratorState(torch::Device device, const torch::Tensor& state) {
  at::Generator generator = at::globalContext().defaultGenerator(device);
  std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
}

// What a block needs to run as it ran before.
struct Rerun : torch::CustomClassHolder {
  Block block;
  torch::Tensor generator;
  bool autocast = false;
};

class RecomputeFunction : public torch::autograd::Function<RecomputeFunction> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const Block& block,
                               const torch::Tensor& x, const torch::Tensor& embedding) {
    auto rerun = c10::make_intrusive<Rerun>();
    rerun->block = block;
    rerun->generator = GeneratorState(x.device());
    rerun->autocast = AutocastGuard::Enabled(x.device().type());
    context->save_for_backward({x, embedding});
    context->saved_data["rerun"] = c10::IValue::make_capsule(std::move(rerun));
    return block(x, embedding);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto rerun =
        c10::static_intrusive_pointer_cast<Rerun>(context->saved_data["rerun"].toCapsule());
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const auto leaf = [](const torch::Tensor& tensor) {
      return tensor.detach().requires_grad_(tensor.requires_grad());
    };
    const torch::Tensor x = leaf(saved[0]), embedding = leaf(saved[1]);
    const torch::Tensor now = GeneratorState(x.device());
    SetGeneratorState(x.device(), rerun->generator);
    torch::Tensor y;
    {
      torch::AutoGradMode with_gradients(true);
      AutocastGuard autocast(x.device().type(), rerun->autocast);
      y = rerun->block(x, embedding);
    }
    SetGeneratorState(x.device(), now);
    // Adds to the parameters' gradients, as the backward that this is part of would.
    torch::autograd::backward({y}, {gradients[0]});
    return {torch::Tensor(), x.grad(), embedding.grad()};
  }
};

}  // namespace

torch::Tensor Recomputed(const Block& block, const torch::Tensor& x,
                         const torch::Tensor& embedding) {
  if (!torch::GradMode::is_enabled()) return block(x, embedding);
  // Autograd's functions take no undefined tensors.
  return RecomputeFunction::apply(block, x, embedding.defined() ? embedding : x.new_empty({0}));
}

}  // namespace diffusiond
