#include "model/training/run/training_state_metadata.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "model/files/file_status.h"
#include "model/files/sha256.h"

namespace diffusiond {
namespace {

constexpr char kStepKey[] = "step";
constexpr char kSkippedKey[] = "skipped_steps";
constexpr char kFingerprintKey[] = "fingerprint";
constexpr char kChecksumKey[] = "sha256";

// Of diffusion-train's flags, what RunFingerprint is of.
constexpr char kKeptOptions[] =
    "the data, the network, the noise schedule, the objective, --steps, --batch_size, --seed, "
    "--learning_rate, --warmup_steps, --cosine_decay, --weight_decay, --clip_grad_norm, "
    "--ema_decay, --label_dropout, --flip and --bf16";

// Of metadata, names, shapes and bytes; each text ends with a newline, which none contains.
std::string Checksum(const StateMetadata& metadata, const TensorMap& tensors) {
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

std::string Entry(const StateMetadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? "" : found->second;
}

std::optional<StateSteps> StepsOf(const StateMetadata& metadata) {
  StateSteps steps;
  if (!absl::SimpleAtoi(Entry(metadata, kStepKey), &steps.done)) return std::nullopt;
  if (!absl::SimpleAtoi(Entry(metadata, kSkippedKey), &steps.skipped)) return std::nullopt;
  if (steps.skipped < 0 || steps.skipped > steps.done) return std::nullopt;
  return steps;
}

absl::Status CheckShapes(const TensorMap& tensors, const StateShapes& expected) {
  for (const auto& [name, shape] : expected) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      return absl::DataLossError(absl::StrCat("tensor ", name, " missing"));
    }
    const TensorView& view = found->second;
    if (view.dtype != Dtype::kF32 || view.shape != shape) {
      return absl::DataLossError(absl::StrCat("tensor ", name, " is ", DtypeName(view.dtype), " ",
                                              ShapeToString(view.shape), "; expected F32 ",
                                              ShapeToString(shape)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

StateMetadata Checksummed(StateMetadata metadata, const TensorMap& tensors) {
  metadata[kChecksumKey] = Checksum(metadata, tensors);
  return metadata;
}

StateMetadata MakeStateMetadata(StateSteps steps, const std::string& fingerprint,
                                const TensorMap& tensors) {
  return Checksummed({{kStepKey, absl::StrCat(steps.done)},
                      {kSkippedKey, absl::StrCat(steps.skipped)},
                      {kFingerprintKey, fingerprint}},
                     tensors);
}

absl::StatusOr<StateSteps> CheckState(const StateMetadata& metadata, const TensorMap& tensors,
                                      const std::string& fingerprint, const StateShapes& expected) {
  const std::string says = Entry(metadata, kChecksumKey);
  const std::string is = Checksum(metadata, tensors);
  if (says != is) {
    return absl::DataLossError(absl::StrCat("damaged: its SHA-256 is ", is, ", it says ",
                                            says.empty() ? "none" : Shown(says)));
  }
  if (const std::string found = Entry(metadata, kFingerprintKey); found != fingerprint) {
    return absl::FailedPreconditionError(
        absl::StrCat("this state belongs to another run (other data or options): give ",
                     kKeptOptions, " as they were, or another --out; it has the fingerprint ",
                     Shown(found), ", this run ", fingerprint));
  }
  const std::optional<StateSteps> steps = StepsOf(metadata);
  if (!steps.has_value()) return absl::DataLossError("no valid number of steps");
  const absl::Status shapes = CheckShapes(tensors, expected);
  if (!shapes.ok()) return shapes;
  return *steps;
}

}  // namespace diffusiond
