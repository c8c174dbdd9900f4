#include "model/training/run/training_state.h"

#include <algorithm>
#include <cstddef>
#include <span>

#include "absl/status/statusor.h"
#include "model/checkpoint/safetensors.h"
#include "model/files/file_status.h"
#include "model/training/run/training_state_metadata.h"

namespace diffusiond {

std::map<std::string, torch::Tensor*> StateTensors(TrainingState* state) {
  std::map<std::string, torch::Tensor*> tensors = {{"parameters", &state->parameters},
                                                   {"ema", &state->ema},
                                                   {"first_moment", &state->first_moment},
                                                   {"second_moment", &state->second_moment}};
  for (auto& [name, tensor] : state->extra) tensors["extra." + name] = &tensor;
  return tensors;
}

absl::Status SaveTrainingState(const std::filesystem::path& path, const TrainingState& state,
                               const std::string& fingerprint) {
  TrainingState host = state;
  TensorMap views;
  for (auto& [name, tensor] : StateTensors(&host)) {
    *tensor = tensor->to(torch::kCPU).contiguous();
    views[name] = TensorView{.dtype = Dtype::kF32,
                             .shape = tensor->sizes().vec(),
                             .data = std::as_bytes(std::span(
                                 tensor->data_ptr<float>(), static_cast<size_t>(tensor->numel())))};
  }
  return WriteSafetensors(
      path, views,
      MakeStateMetadata({.done = state.step, .skipped = state.skipped_steps}, fingerprint, views));
}

absl::Status LoadTrainingState(const std::filesystem::path& path, const std::string& fingerprint,
                               TrainingState* state) {
  const std::map<std::string, torch::Tensor*> tensors = StateTensors(state);
  StateShapes shapes;
  for (const auto& [name, tensor] : tensors) shapes[name] = tensor->sizes().vec();
  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Open(path);
  if (absl::IsInvalidArgument(file.status())) return absl::DataLossError(file.status().message());
  if (!file.ok()) return file.status();
  const absl::StatusOr<StateSteps> steps =
      CheckState(file->metadata(), file->tensors(), fingerprint, shapes);
  if (!steps.ok()) return InFile(path, steps.status());
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : tensors) {
    const TensorView& view = file->tensors().at(name);
    tensor->copy_(torch::from_blob(const_cast<std::byte*>(view.data.data()), tensor->sizes(),
                                   torch::kFloat32));
  }
  state->step = steps->done;
  state->skipped_steps = steps->skipped;
  return absl::OkStatus();
}

void UpdateEma(double decay, TrainingState* state) {
  torch::NoGradGuard no_grad;
  const double step = static_cast<double>(state->updates());
  state->ema.lerp_(state->parameters, 1 - std::min(decay, (1 + step) / (10 + step)));
}

}  // namespace diffusiond
