#include "model/training/training_state.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "model/checkpoint/safetensors.h"

namespace diffusiond {
namespace {

constexpr char kStepKey[] = "step";
constexpr char kFingerprintKey[] = "fingerprint";

std::map<std::string, torch::Tensor*> Vectors(TrainingState* state) {
  return {{"parameters", &state->parameters},
          {"ema", &state->ema},
          {"first_moment", &state->first_moment},
          {"second_moment", &state->second_moment}};
}

}  // namespace

absl::Status SaveTrainingState(const std::filesystem::path& path, const TrainingState& state,
                               const std::string& fingerprint) {
  TrainingState host = state;
  TensorMap views;
  for (auto& [name, vector] : Vectors(&host)) {
    *vector = vector->to(torch::kCPU).contiguous();
    views[name] = TensorView{.dtype = Dtype::kF32,
                             .shape = {vector->numel()},
                             .data = std::as_bytes(std::span(
                                 vector->data_ptr<float>(), static_cast<size_t>(vector->numel())))};
  }
  return WriteSafetensors(path, views,
                          {{kStepKey, absl::StrCat(state.step)}, {kFingerprintKey, fingerprint}});
}

absl::Status LoadTrainingState(const std::filesystem::path& path, const std::string& fingerprint,
                               TrainingState* state) {
  absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Open(path);
  if (!file.ok()) return file.status();
  const auto& metadata = file->metadata();
  const auto found = metadata.find(kFingerprintKey);
  if (found == metadata.end() || found->second != fingerprint) {
    return absl::FailedPreconditionError(absl::StrCat(
        path.string(), ": this state belongs to another run: it has ",
        found == metadata.end() ? "no fingerprint" : found->second, ", this run is ", fingerprint));
  }
  const auto step = metadata.find(kStepKey);
  if (step == metadata.end() || !absl::SimpleAtoi(step->second, &state->step) || state->step < 0) {
    return absl::InvalidArgumentError(absl::StrCat(path.string(), ": no valid step number"));
  }
  for (auto& [name, vector] : Vectors(state)) {
    const auto tensor = file->tensors().find(name);
    if (tensor == file->tensors().end()) {
      return absl::InvalidArgumentError(absl::StrCat(path.string(), ": tensor ", name, " missing"));
    }
    const TensorView& view = tensor->second;
    if (view.dtype != Dtype::kF32 || view.shape != std::vector<int64_t>{vector->numel()}) {
      return absl::InvalidArgumentError(
          absl::StrCat(path.string(), ": tensor ", name, " is ", std::string(DtypeName(view.dtype)),
                       " ", ShapeToString(view.shape), "; expected F32 [", vector->numel(), "]"));
    }
    torch::NoGradGuard no_grad;
    vector->copy_(torch::from_blob(const_cast<std::byte*>(view.data.data()), {vector->numel()},
                                   torch::kFloat32));
  }
  return absl::OkStatus();
}

void AdamWStep(const torch::Tensor& gradient, double learning_rate, double weight_decay,
               TrainingState* state) {
  constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;
  torch::NoGradGuard no_grad;
  const double step = static_cast<double>(state->step);
  state->first_moment.lerp_(gradient, 1 - kBeta1);
  state->second_moment.mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
  const double m_scale = 1 / (1 - std::pow(kBeta1, step));
  const double v_scale = 1 / (1 - std::pow(kBeta2, step));
  const torch::Tensor denominator =
      state->second_moment.sqrt().mul_(std::sqrt(v_scale)).add_(kEpsilon);
  state->parameters.mul_(1 - learning_rate * weight_decay);
  state->parameters.addcdiv_(state->first_moment, denominator, -learning_rate * m_scale);
}

void UpdateEma(double decay, TrainingState* state) {
  torch::NoGradGuard no_grad;
  const double step = static_cast<double>(state->step);
  state->ema.lerp_(state->parameters, 1 - std::min(decay, (1 + step) / (10 + step)));
}

}  // namespace diffusiond
