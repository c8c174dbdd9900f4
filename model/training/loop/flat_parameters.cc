#include "model/training/loop/flat_parameters.h"

#include <vector>

namespace diffusiond {

torch::Tensor FlattenParameters(torch::nn::Module* module) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> pieces;
  for (const torch::Tensor& parameter : module->parameters()) {
    pieces.push_back(parameter.detach().reshape({-1}));
  }
  torch::Tensor flat = torch::cat(pieces);
  int64_t at = 0;
  for (torch::Tensor& parameter : module->parameters()) {
    parameter.set_data(flat.narrow(0, at, parameter.numel()).view(parameter.sizes()));
    at += parameter.numel();
  }
  return flat;
}

torch::Tensor FlattenGradients(torch::nn::Module* module) {
  int64_t total = 0;
  for (const torch::Tensor& parameter : module->parameters()) total += parameter.numel();
  torch::Tensor flat = torch::zeros({total}, module->parameters().front().options());
  int64_t at = 0;
  for (torch::Tensor& parameter : module->parameters()) {
    parameter.mutable_grad() = flat.narrow(0, at, parameter.numel()).view(parameter.sizes());
    at += parameter.numel();
  }
  return flat;
}

}  // namespace diffusiond
