#include "model/training/run/training_state.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/safetensors.h"
#include "model/files/file_status.h"
#include "model/files/sha256.h"

namespace diffusiond {
namespace {

constexpr char kStepKey[] = "step";
constexpr char kSkippedKey[] = "skipped_steps";
constexpr char kFingerprintKey[] = "fingerprint";
constexpr char kChecksumKey[] = "sha256";

// Of metadata, names, shapes and bytes; each text ends with a newline, which none contains.
std::string Checksum(const std::map<std::string, std::string>& metadata, const TensorMap& tensors) {
  Sha256 hash;
  for (const auto& [key, value] : metadata) {
    if (key != kChecksumKey) hash.Update(absl::StrCat(key, "\n", value, "\n"));
  }
  for (const auto& [name, view] : tensors) {
    hash.Update(absl::StrCat(name, "\n", ShapeToString(view.shape), "\n"));
    hash.Update(view.data);
  }
  return hash.FinishHex();
}

std::string Entry(const std::map<std::string, std::string>& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? "" : found->second;
}

absl::Status Damaged(const std::filesystem::path& path, absl::string_view how) {
  return InFile(path, absl::DataLossError(how));
}

}  // namespace

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
  std::map<std::string, std::string> metadata = {{kStepKey, absl::StrCat(state.step)},
                                                 {kSkippedKey, absl::StrCat(state.skipped_steps)},
                                                 {kFingerprintKey, fingerprint}};
  metadata[kChecksumKey] = Checksum(metadata, views);
  return WriteSafetensors(path, views, metadata);
}

// Of diffusion-train's flags, what RunFingerprint is of.
constexpr char kKeptOptions[] =
    "the data, the network, the noise schedule, the objective, --steps, --batch_size, --seed, "
    "--learning_rate, --warmup_steps, --cosine_decay, --weight_decay, --clip_grad_norm, "
    "--ema_decay, --label_dropout, --flip and --bf16";

absl::Status LoadTrainingState(const std::filesystem::path& path, const std::string& fingerprint,
                               TrainingState* state) {
  absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Open(path);
  if (absl::IsInvalidArgument(file.status())) return absl::DataLossError(file.status().message());
  if (!file.ok()) return file.status();
  const std::map<std::string, std::string>& metadata = file->metadata();
  const std::string expected = Entry(metadata, kChecksumKey);
  const std::string actual = Checksum(metadata, file->tensors());
  if (expected != actual) {
    return Damaged(path, absl::StrCat("damaged: its SHA-256 is ", actual, ", it says ",
                                      expected.empty() ? "none" : Shown(expected)));
  }
  if (const std::string found = Entry(metadata, kFingerprintKey); found != fingerprint) {
    return InFile(
        path, absl::FailedPreconditionError(absl::StrCat(
                  "this state belongs to another run (other data or options): give ", kKeptOptions,
                  " as they were, or another --out; it has the fingerprint ", Shown(found),
                  ", this run ", fingerprint)));
  }
  int64_t step = 0, skipped = 0;
  if (!absl::SimpleAtoi(Entry(metadata, kStepKey), &step) || step < 0 ||
      !absl::SimpleAtoi(Entry(metadata, kSkippedKey), &skipped) || skipped < 0 || skipped > step) {
    return Damaged(path, "no valid number of steps");
  }
  const std::map<std::string, torch::Tensor*> tensors = StateTensors(state);
  for (const auto& [name, tensor] : tensors) {
    const auto found = file->tensors().find(name);
    if (found == file->tensors().end()) {
      return Damaged(path, absl::StrCat("tensor ", name, " missing"));
    }
    const TensorView& view = found->second;
    if (view.dtype != Dtype::kF32 || view.shape != tensor->sizes().vec()) {
      return Damaged(path, absl::StrCat("tensor ", name, " is ", DtypeName(view.dtype), " ",
                                        ShapeToString(view.shape), "; expected F32 ",
                                        ShapeToString(tensor->sizes().vec())));
    }
  }
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : tensors) {
    const TensorView& view = file->tensors().at(name);
    tensor->copy_(torch::from_blob(const_cast<std::byte*>(view.data.data()), tensor->sizes(),
                                   torch::kFloat32));
  }
  state->step = step;
  state->skipped_steps = skipped;
  return absl::OkStatus();
}

void UpdateEma(double decay, TrainingState* state) {
  torch::NoGradGuard no_grad;
  const double step = static_cast<double>(state->updates());
  state->ema.lerp_(state->parameters, 1 - std::min(decay, (1 + step) / (10 + step)));
}

}  // namespace diffusiond
