#include "model/training/loop/trainer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/files/durable_write.h"
#include "model/imaging/png.h"
#include "model/training/loop/adamw.h"
#include "model/training/loop/flat_parameters.h"
#include "model/training/loop/held_out_loss.h"
#include "model/training/loop/non_finite_guard.h"
#include "model/training/objectives/classifier_objective.h"
#include "model/training/run/sample_sheet.h"
#include "model/unet/unet_checkpoint.h"
#include "model/unet/unet_classifier.h"
#include "model/unet/unet_denoiser.h"

namespace diffusiond {
namespace {

constexpr char kLossHistoryName[] = "loss_history";

// Empty unless timesteps are drawn by it.
std::span<float> LossHistory(TrainingState* state) {
  const auto found = state->extra.find(kLossHistoryName);
  if (found == state->extra.end()) return {};
  return {found->second.data_ptr<float>(), static_cast<size_t>(found->second.numel())};
}

bool Due(int64_t step, int64_t every) { return every > 0 && step % every == 0; }

std::shared_ptr<UNet> NewNetwork(const TrainerOptions& options, torch::Device device) {
  auto network = std::make_shared<UNet>(options.network());
  network->ResetParameters(options.seed);
  network->to(device);
  return network;
}

absl::Status CheckDivides(const TrainerOptions& options, const WorkerGroup* workers) {
  const int64_t processes = workers == nullptr ? 1 : workers->size();
  if (options.batch_size % (processes * options.accumulate) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("batch_size is ", options.batch_size, "; it must be a multiple of ", processes,
                   " processes times ", options.accumulate, " pieces (accumulate)"));
}

// A graph is captured once, with nothing in it that the host decides in each step.
absl::Status CheckGraph(const TrainerOptions& options, const TrainerParts& parts) {
  if (!options.cuda_graph) return absl::OkStatus();
  const auto refused = [](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("cuda_graph is true; ", why));
  };
  if (parts.workers != nullptr) return refused("it must be false with several processes");
  if (options.checkpoint_activations) {
    return refused("it must be false with checkpoint_activations");
  }
  if (options.objective.learn_schedule) return refused("it must be false with a learned schedule");
  if (parts.loss_hook) return refused("it must be false with a loss hook");
  if (!parts.device.is_cuda()) {
    return refused(absl::StrCat("the device is ", parts.device.str(), ", no GPU"));
  }
  if (!HasStepGraphs()) return refused("this build is without CUDA");
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<const Objective>> NewObjective(const TrainerOptions& options,
                                                              torch::Device device) {
  if (options.base != nullptr) return MakeClassifierObjective(options.model.scheduler, device);
  return MakeObjective(options.model.scheduler, options.objective, device);
}

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

Trainer::Trainer(TrainerOptions options, TrainerParts parts, ModelSchedule schedule,
                 std::unique_ptr<const Objective> objective,
                 std::unique_ptr<const Objective> ema_objective, std::string fingerprint)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      schedule_(std::move(schedule)),
      objective_(std::move(objective)),
      ema_objective_(std::move(ema_objective)),
      fingerprint_(std::move(fingerprint)),
      network_(NewNetwork(options_, parts_.device)),
      ema_(NewNetwork(options_, parts_.device)),
      trained_(TrainedModule(network_, *objective_)),
      save_schedule_(options_.save_every, options_.save_interval),
      meter_(options_.steps, options_.batch_size, schedule_.num_train_timesteps) {
  network_->SetRecompute(options_.checkpoint_activations);
  network_->SetBf16(options_.bf16);
  network_->SetChannelsLast(options_.channels_last);
  ema_->eval();
  state_.parameters = FlattenParameters(trained_.get());
  state_.ema = FlattenParameters(TrainedModule(ema_, *ema_objective_).get());
  state_.first_moment = torch::zeros_like(state_.parameters);
  state_.second_moment = torch::zeros_like(state_.parameters);
  gradient_ = FlattenGradients(trained_.get());
  if (options_.objective.timestep_sampling == "importance") {
    state_.extra[kLossHistoryName] =
        torch::tensor(EmptyLossHistory(options_.model.scheduler.num_train_timesteps));
  }
}

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Create(TrainerOptions options, TrainerParts parts,
                                                         bool resume) {
  if (absl::Status status = Validate(options); !status.ok()) return status;
  if (absl::Status status = CheckGraph(options, parts); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<const Objective>> objective = NewObjective(options, parts.device);
  if (!objective.ok()) return objective.status();
  absl::StatusOr<std::unique_ptr<const Objective>> ema_objective =
      NewObjective(options, parts.device);
  if (!ema_objective.ok()) return ema_objective.status();
  absl::StatusOr<ModelSchedule> schedule = MakeModelSchedule(options.model.scheduler);
  if (!schedule.ok()) return schedule.status();
  if (absl::StatusOr<SamplingPlan> plan = CompilePlan(*schedule, options.sampling); !plan.ok()) {
    return plan.status();  // Now, not at the first sample sheet.
  }
  absl::StatusOr<std::string> fingerprint = RunFingerprint(options, *parts.train);
  if (!fingerprint.ok()) return fingerprint.status();
  if (absl::Status status = CheckDivides(options, parts.workers); !status.ok()) return status;
  std::unique_ptr<Trainer> trainer(new Trainer(std::move(options), std::move(parts),
                                               *std::move(schedule), *std::move(objective),
                                               *std::move(ema_objective), *std::move(fingerprint)));
  const bool first = trainer->parts_.workers == nullptr || trainer->parts_.workers->rank() == 0;
  const absl::Status opened = first ? trainer->OpenDirectory(resume) : absl::OkStatus();
  if (absl::Status status = trainer->AgreeOnState(opened); !status.ok()) return status;
  trainer->training_step_ = std::make_unique<TrainingStep>(
      trainer->options_, trainer->parts_.train, trainer->objective_.get(), trainer->network_.get(),
      trainer->trained_.get(), trainer->gradient_, trainer->parts_.workers, trainer->state_.step,
      LossHistory(&trainer->state_), trainer->parts_.loss_hook);
  return trainer;
}

absl::Status Trainer::OpenDirectory(bool resume) {
  absl::StatusOr<std::unique_ptr<RunDirectory>> directory = RunDirectory::Open(options_.out);
  if (!directory.ok()) return directory.status();
  absl::StatusOr<std::vector<SavedState>> states = (*directory)->States();
  if (!states.ok()) return states.status();
  if (!resume && !states->empty()) {
    return absl::AlreadyExistsError(absl::StrCat(
        states->front().path.string(), " exists: give --resume to go on, or another --out"));
  }
  absl::StatusOr<std::unique_ptr<ProgressLog>> log = ProgressLog::Open((*directory)->log());
  if (!log.ok()) return log.status();
  directory_ = *std::move(directory);
  log_ = *std::move(log);
  sinks_ = parts_.sinks;
  sinks_.push_back(log_.get());
  if (options_.base != nullptr) {
    absl::StatusOr<std::shared_ptr<UNet>> network = LoadUNet(*options_.base);
    if (!network.ok()) return network.status();
    (*network)->to(parts_.device);
    base_network_ = *std::move(network);
  }
  return LoadNewestState(*states);
}

absl::Status Trainer::LoadNewestState(const std::vector<SavedState>& states) {
  for (const SavedState& saved : states) {
    absl::Status status = LoadTrainingState(saved.path, fingerprint_, &state_);
    if (status.ok()) {
      saved_step_ = state_.step;
      return status;
    }
    if (!absl::IsDataLoss(status)) return status;
    parts_.warn(absl::StrCat(status.message(), "; going back to the state before it"));
    if (absl::Status aside = directory_->SetAside(saved); !aside.ok()) return aside;
  }
  const absl::StatusOr<std::vector<SavedState>> damaged = directory_->DamagedStates();
  if (!damaged.ok()) return damaged.status();
  if (damaged->empty()) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(options_.out.string(), ": of ", damaged->size(),
                   " saved states none is whole; to begin anew, give another --out or remove this "
                   "directory"));
}

absl::Status Trainer::AgreeOnState(const absl::Status& opened) {
  WorkerGroup* workers = parts_.workers;
  if (workers == nullptr) return opened;
  absl::Status status = workers->AgreeOk(opened);
  if (status.ok()) status = workers->AgreeOnText("network, data or options", fingerprint_);
  torch::Tensor counts = torch::tensor({state_.step, state_.skipped_steps}, torch::kInt64);
  std::vector<std::pair<torch::Tensor, torch::Tensor>> sent = {{counts, counts.to(parts_.device)}};
  for (auto& [name, tensor] : StateTensors(&state_)) {
    sent.emplace_back(*tensor, tensor->to(parts_.device));
  }
  for (auto& [tensor, on_device] : sent) {
    if (status.ok()) status = workers->Broadcast(on_device);
    if (status.ok()) tensor.copy_(on_device);
  }
  state_.step = counts[0].item<int64_t>();
  state_.skipped_steps = counts[1].item<int64_t>();
  return status;
}

absl::Status Trainer::SkipStep(const StepOutcome& outcome) {
  ++state_.step;
  ++state_.skipped_steps;
  const NonFiniteStep step = {.step = state_.step,
                              .loss = outcome.loss,
                              .gradient_norm = outcome.gradient_norm,
                              .images = outcome.images,
                              .losses = outcome.losses};
  absl::Status status =
      JudgeNonFinite(step, options_.on_nan, state_.skipped_steps, options_.max_skipped_steps);
  if (!status.ok()) return status;
  if (directory_ != nullptr) parts_.warn(absl::StrCat("skipped ", Describe(step)));
  return AfterStep(outcome.gradient_norm);
}

absl::Status Trainer::TakeStep(const StepOutcome& outcome) {
  if (!outcome.finite()) return SkipStep(outcome);
  ++state_.step;
  {
    torch::NoGradGuard no_grad;
    if (options_.clip_grad_norm > 0 && outcome.gradient_norm > options_.clip_grad_norm) {
      gradient_.mul_(options_.clip_grad_norm / outcome.gradient_norm);
    }
  }
  AdamWStep(gradient_, LearningRateAt(options_, state_.step), options_.weight_decay, &state_);
  UpdateEma(options_.ema_decay, &state_);
  meter_.AddStep({.loss = outcome.loss,
                  .timesteps = outcome.timesteps,
                  .losses = outcome.losses,
                  .waited = outcome.waited});
  return AfterStep(outcome.gradient_norm);
}

void Trainer::Point(double gradient_norm) {
  ProgressPoint point = meter_.Take(state_.step);
  point.learning_rate = LearningRateAt(options_, state_.step);
  point.gradient_norm = gradient_norm;
  point.skipped_steps = state_.skipped_steps;
  for (ProgressSink* sink : sinks_) sink->OnPoint(point);
}

absl::StatusOr<CheckpointConfig> Trainer::TrainedConfig() const {
  CheckpointConfig model = options_.model;
  if (absl::Status status = ema_objective_->Export(&model.scheduler); !status.ok()) return status;
  return model;
}

absl::Status Trainer::WriteSampleSheet() {
  absl::StatusOr<CheckpointConfig> model = TrainedConfig();
  if (!model.ok()) return model.status();
  absl::StatusOr<ModelSchedule> schedule = MakeModelSchedule(model->scheduler);
  if (!schedule.ok()) return schedule.status();
  absl::StatusOr<SamplingPlan> plan = CompilePlan(*schedule, options_.sampling);
  if (!plan.ok()) return plan.status();
  const UNetDenoiser::Options denoiser = {.rows = kSampleSheetColumns,
                                          .device = parts_.device,
                                          .intra_op_threads = at::get_num_threads()};
  DrawSpec spec;
  spec.seed = options_.seed;
  spec.null_label = options_.model.null_class_id.value_or(0);
  std::unique_ptr<NoiseClassifier> classifier;
  if (base_network_ == nullptr) {
    spec.guidance.scale = options_.guidance_scale;
  } else {
    // Without the class, where the model can: what is seen of it is the classifier's doing.
    spec.guidance.scale = options_.model.null_class_id.has_value() ? 0 : 1;
    spec.guidance.classifier_scale = options_.guidance_scale;
    classifier = std::make_unique<UNetClassifier>(
        ema_, UNetClassifier::Options{.rows = denoiser.rows,
                                      .device = denoiser.device,
                                      .intra_op_threads = denoiser.intra_op_threads});
  }
  absl::StatusOr<Image> sheet = DrawSampleSheet(
      *plan, spec, NumClasses(options_.model),
      std::make_unique<UNetDenoiser>(base_network_ == nullptr ? ema_ : base_network_, denoiser),
      std::move(classifier));
  if (!sheet.ok()) return sheet.status();
  for (ProgressSink* sink : sinks_) sink->OnSamples(state_.step, *sheet);
  absl::StatusOr<std::string> png = EncodePng(*sheet);
  if (!png.ok()) return png.status();
  return ReplaceFile(directory_->samples() / absl::StrFormat("step-%07d.png", state_.step), *png);
}

absl::Status Trainer::WriteCheckpoint() {
  const absl::StatusOr<CheckpointConfig> model = TrainedConfig();
  if (!model.ok()) return model.status();
  return SaveWeights(directory_->checkpoint(), *model, options_.base.get(), *ema_);
}

absl::Status Trainer::Save() {
  if (directory_ == nullptr) return absl::OkStatus();
  absl::Status status = WriteCheckpoint();
  // Also if that failed: a checkpoint that cannot be replaced must not cost what was learned.
  absl::Status state = SaveTrainingState(directory_->StatePath(state_.step), state_, fingerprint_);
  if (state.ok()) {
    saved_step_ = state_.step;
    state = directory_->KeepNewest(options_.keep_checkpoints);
  }
  status.Update(state);
  save_schedule_.Saved(status.ok());
  for (ProgressSink* sink : sinks_) sink->OnSave(state_.step, status.ok());
  return status;
}

absl::Status Trainer::AfterStep(double gradient_norm) {
  if (directory_ == nullptr) return absl::OkStatus();
  const bool last = state_.step == options_.steps;
  const bool evaluate =
      parts_.held_out->size() > 0 && (last || Due(state_.step, options_.eval_every));
  meter_.PauseClock();
  if (evaluate) {
    meter_.SetHeldOutLoss(HeldOutLoss(*ema_objective_, *ema_, *parts_.held_out,
                                      {.images = options_.held_out_images,
                                       .batch_size = options_.batch_size,
                                       .num_train_timesteps = schedule_.num_train_timesteps,
                                       .seed = options_.seed}));
  }
  meter_.ResumeClock();
  if (last || Due(state_.step, options_.log_every)) Point(gradient_norm);
  meter_.PauseClock();
  if (options_.sample_every > 0 && (last || Due(state_.step, options_.sample_every))) {
    if (absl::Status status = WriteSampleSheet(); !status.ok()) {
      parts_.warn(absl::StrCat("no sample sheet at step ", state_.step, ": ", status.message()));
    }
  }
  absl::Status status;
  if (last || save_schedule_.Due(state_.step)) {
    status = Save();
    if (!status.ok() && !last) {
      parts_.warn(absl::StrCat("not saved at step ", state_.step, ": ", status.message(),
                               "; training goes on, the newest saved state is of step ",
                               saved_step_));
      status = absl::OkStatus();
    }
  }
  meter_.ResumeClock();
  return status;
}

absl::Status Trainer::Run(const std::atomic<bool>& stop) {
  if (state_.step >= options_.steps) {
    // Resumed when done: the last save may have left the checkpoint out.
    return directory_ == nullptr ? absl::OkStatus() : WriteCheckpoint();
  }
  bool stopped = stop;
  while (state_.step < options_.steps && !stopped) {
    absl::StatusOr<StepOutcome> outcome = training_step_->Next(stop);
    if (!outcome.ok()) {
      absl::Status saved = Save();  // The step before: this one has changed nothing.
      if (!saved.ok()) parts_.warn(absl::StrCat("not saved: ", saved.message()));
      return outcome.status();
    }
    if (absl::Status status = TakeStep(*outcome); !status.ok()) return status;
    stopped = outcome->stop;
  }
  return stopped ? Save() : absl::OkStatus();
}

}  // namespace diffusiond
