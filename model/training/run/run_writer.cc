#include "model/training/run/run_writer.h"

#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/files/durable_write.h"
#include "model/imaging/png.h"
#include "model/status/status_macros.h"
#include "model/training/run/newest_state.h"

namespace diffusiond {
namespace {

// `base`: of a classifier; null: `network` is a denoiser.
absl::Status SaveWeights(const std::filesystem::path& path, const CheckpointConfig& config,
                         const Checkpoint* base, const UNet& network) {
  TensorMap views;
  std::vector<torch::Tensor> host;  // Keeps what the views look at.
  for (const auto& parameter : network.named_parameters()) {
    host.push_back(parameter.value().detach().to(torch::kCPU).contiguous());
    views[parameter.key()] =
        TensorView{.dtype = Dtype::kF32,
                   .shape = host.back().sizes().vec(),
                   .data = std::as_bytes(std::span(host.back().data_ptr<float>(),
                                                   static_cast<size_t>(host.back().numel())))};
  }
  if (base == nullptr) return SaveCheckpoint(path, config, views);
  return SaveCheckpoint(path, config, base->tensors(), views);
}

}  // namespace

RunWriter::RunWriter(Parts parts, std::unique_ptr<RunDirectory> directory,
                     std::unique_ptr<ProgressLog> log, std::unique_ptr<NetworkSheet> sheet)
    : parts_(std::move(parts)),
      directory_(std::move(directory)),
      log_(std::move(log)),
      sheet_(std::move(sheet)),
      sinks_(parts_.sinks),
      save_schedule_(parts_.options->save_every, parts_.options->save_interval) {
  sinks_.push_back(log_.get());
}

absl::StatusOr<std::unique_ptr<RunWriter>> RunWriter::Open(Parts parts, bool resume,
                                                           TrainingState* state) {
  ASSIGN_OR_RETURN(std::unique_ptr<RunDirectory> directory, RunDirectory::Open(parts.options->out));
  ASSIGN_OR_RETURN(std::vector<SavedState> states, directory->States());
  if (!resume && !states.empty()) {
    return absl::AlreadyExistsError(absl::StrCat(
        states.front().path.string(), " exists: give --resume to go on, or another --out"));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<ProgressLog> log, ProgressLog::Open(directory->log()));
  ASSIGN_OR_RETURN(std::unique_ptr<NetworkSheet> sheet,
                   NetworkSheet::Create(*parts.options, parts.device));
  std::unique_ptr<RunWriter> writer(
      new RunWriter(std::move(parts), std::move(directory), std::move(log), std::move(sheet)));
  RETURN_IF_ERROR(LoadNewestState(*writer->directory_, states, writer->parts_.fingerprint,
                                  writer->parts_.warn, state));
  if (!states.empty()) writer->saved_step_ = state->step;
  return writer;
}

void RunWriter::WritePoint(const ProgressPoint& point) {
  for (ProgressSink* sink : sinks_) sink->OnPoint(point);
}

absl::Status RunWriter::SampleSheet(int64_t step, const TrainedModel& model) {
  if (!model.ok()) return model.status();
  ASSIGN_OR_RETURN(Image sheet, sheet_->Draw(*model, parts_.averaged));
  for (ProgressSink* sink : sinks_) sink->OnSamples(step, sheet);
  ASSIGN_OR_RETURN(std::string png, EncodePng(sheet));
  return ReplaceFile(directory_->samples() / absl::StrFormat("step-%07d.png", step), png);
}

void RunWriter::WriteSampleSheet(int64_t step, const TrainedModel& model) {
  if (absl::Status status = SampleSheet(step, model); !status.ok()) {
    parts_.warn(absl::StrCat("no sample sheet at step ", step, ": ", status.message()));
  }
}

absl::Status RunWriter::WriteCheckpoint(const TrainedModel& model) {
  if (!model.ok()) return model.status();
  return SaveWeights(directory_->checkpoint(), *model, parts_.options->base.get(),
                     *parts_.averaged);
}

absl::Status RunWriter::Save(const TrainingState& state, const TrainedModel& model) {
  absl::Status status = WriteCheckpoint(model);
  absl::Status saved =
      SaveTrainingState(directory_->StatePath(state.step), state, parts_.fingerprint);
  if (saved.ok()) {
    saved_step_ = state.step;
    saved = directory_->KeepNewest(parts_.options->keep_checkpoints);
  }
  status.Update(saved);
  save_schedule_.Saved(status.ok());
  for (ProgressSink* sink : sinks_) sink->OnSave(state.step, status.ok());
  return status;
}

}  // namespace diffusiond
