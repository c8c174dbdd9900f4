// Any bytes as the saved state of a training run: they are refused, or are a state of this run with
// the tensors that it needs. So are the same tensors and words under a checksum that fits, which
// random bytes never have.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "model/checkpoint/safetensors.h"
#include "model/training/run/training_state_metadata.h"

namespace diffusiond {
namespace {

const StateShapes& Expected() {
  static const StateShapes shapes = {
      {"parameters", {3}}, {"ema", {3}}, {"first_moment", {3}}, {"second_moment", {3}}};
  return shapes;
}

void Require(bool ok) {
  if (!ok) std::abort();
}

// Whether it is taken, as what it must be.
bool IsTaken(const absl::StatusOr<StateSteps>& steps, const TensorMap& tensors) {
  if (!steps.ok()) {
    Require(absl::IsDataLoss(steps.status()) || absl::IsFailedPrecondition(steps.status()));
    return false;
  }
  Require(steps->skipped >= 0 && steps->skipped <= steps->done);
  for (const auto& [name, shape] : Expected()) {
    const TensorView& view = tensors.at(name);
    Require(view.dtype == Dtype::kF32 && view.shape == shape);
    Require(view.data.size() == 3 * sizeof(float));
    FindNonFinite(view);  // Reads every byte.
  }
  return true;
}

std::vector<std::byte> FileOf(const TensorMap& tensors, const StateMetadata& metadata) {
  const auto layout = LayOutSafetensors(tensors, metadata);
  Require(layout.ok());
  std::vector<std::byte> file;
  const auto append = [&file](std::span<const std::byte> bytes) {
    file.insert(file.end(), bytes.begin(), bytes.end());
  };
  append(std::as_bytes(std::span(layout->head)));
  for (const std::span<const std::byte> bytes : layout->data) append(bytes);
  return file;
}

}  // namespace
}  // namespace diffusiond

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace diffusiond;
  const auto state = ParseSafetensors(std::as_bytes(std::span(data, size)));
  if (!state.ok()) return 0;
  const bool taken =
      IsTaken(CheckState(state->metadata, state->tensors, "run", Expected()), state->tensors);

  const auto file = FileOf(state->tensors, Checksummed(state->metadata, state->tensors));
  const auto sealed = ParseSafetensors(file);
  Require(sealed.ok());
  const auto run = sealed->metadata.find("fingerprint");
  const auto steps = CheckState(sealed->metadata, sealed->tensors,
                                run == sealed->metadata.end() ? "" : run->second, Expected());
  Require(IsTaken(steps, sealed->tensors) || !taken);
  Require(!absl::IsFailedPrecondition(steps.status()));
  Require(!absl::StrContains(steps.status().message(), "damaged: its SHA-256"));
  return 0;
}
