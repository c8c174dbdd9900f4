#include "model/training/loop/trainer.h"

#include <span>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/sampling/sampler.h"
#include "model/status/status_macros.h"
#include "model/training/loop/adamw.h"
#include "model/training/loop/flat_parameters.h"
#include "model/training/loop/held_out_loss.h"
#include "model/training/loop/non_finite_guard.h"
#include "model/training/objectives/classifier_objective.h"

namespace diffusiond {
namespace {

constexpr char kLossHistoryName[] = "loss_history";

// Empty unless timesteps are drawn by it.
std::span<float> LossHistory(TrainingState* state) {
  const auto found = state->extra.find(kLossHistoryName);
  if (found == state->extra.end()) return {};
  return {found->second.data_ptr<float>(), static_cast<size_t>(found->second.numel())};
}

std::shared_ptr<UNet> NewNetwork(const TrainerOptions& options, torch::Device device) {
  auto network = std::make_shared<UNet>(options.network());
  network->ResetParameters(options.seed);
  network->to(device);
  return network;
}

// A graph is captured once, with nothing in it that the host decides in each step.
absl::Status CheckGraph(const TrainerOptions& options, const TrainerParts& parts) {
  if (!options.cuda_graph) return absl::OkStatus();
  const auto refused = [](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("--cuda_graph is given; ", why));
  };
  if (parts.workers != nullptr) return refused("it must be false with several processes");
  if (options.checkpoint_activations) {
    return refused("it must be false with --checkpoint_activations");
  }
  if (options.objective.learn_schedule) return refused("it must be false with --learn_schedule");
  if (parts.loss_hook) return refused("it must be false with a loss hook");
  if (!parts.device.is_cuda()) {
    return refused(absl::StrCat("the device is ", parts.device.str(), ", no GPU"));
  }
  if (!HasStepGraphs()) return refused("this build is without CUDA");
  return absl::OkStatus();
}

// Before hours of training, not at the first sample sheet.
absl::Status CheckSampling(const TrainerOptions& options) {
  ASSIGN_OR_RETURN(ModelSchedule schedule, MakeModelSchedule(options.model.scheduler));
  const absl::Status plan = CompilePlan(schedule, options.sampling).status();
  if (plan.ok()) return plan;
  return absl::Status(
      plan.code(),
      absl::StrCat("--sampler, --sampler_steps, --sampler_spacing and --eta: ", plan.message()));
}

absl::StatusOr<std::unique_ptr<const Objective>> NewObjective(const TrainerOptions& options,
                                                              torch::Device device) {
  if (options.base != nullptr) return MakeClassifierObjective(options.model.scheduler, device);
  return MakeObjective(options.model.scheduler, options.objective, device);
}

}  // namespace

Trainer::Trainer(TrainerOptions options, TrainerParts parts,
                 std::unique_ptr<const Objective> objective,
                 std::unique_ptr<const Objective> ema_objective)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      objective_(std::move(objective)),
      ema_objective_(std::move(ema_objective)),
      network_(NewNetwork(options_, parts_.device)),
      ema_(NewNetwork(options_, parts_.device)),
      trained_(TrainedModule(network_, *objective_)),
      parallel_(parts_.workers),
      meter_(options_.steps, options_.batch_size, options_.model.scheduler.num_train_timesteps) {
  network_->SetRecompute(options_.checkpoint_activations);
  network_->SetBf16(options_.bf16);
  network_->SetChannelsLast(options_.channels_last);
  ema_->eval();
  state_.parameters = FlattenParameters(trained_.get());
  state_.ema = FlattenParameters(TrainedModule(ema_, *ema_objective_).get());
  state_.first_moment = torch::zeros_like(state_.parameters);
  state_.second_moment = torch::zeros_like(state_.parameters);
  gradient_ = FlattenGradients(trained_.get());
  if (options_.objective.timestep_sampling == TimestepSampling::kImportance) {
    state_.extra[kLossHistoryName] =
        torch::tensor(EmptyLossHistory(options_.model.scheduler.num_train_timesteps));
  }
}

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Create(TrainerOptions options, TrainerParts parts,
                                                         bool resume) {
  RETURN_IF_ERROR(Validate(options));
  RETURN_IF_ERROR(CheckGraph(options, parts));
  ASSIGN_OR_RETURN(std::unique_ptr<const Objective> objective, NewObjective(options, parts.device));
  ASSIGN_OR_RETURN(std::unique_ptr<const Objective> ema_objective,
                   NewObjective(options, parts.device));
  RETURN_IF_ERROR(CheckSampling(options));
  RETURN_IF_ERROR(DataParallel(parts.workers).CheckDivides(options.batch_size, options.accumulate));
  std::unique_ptr<Trainer> trainer(new Trainer(std::move(options), std::move(parts),
                                               std::move(objective), std::move(ema_objective)));
  RETURN_IF_ERROR(trainer->Begin(resume));
  return trainer;
}

absl::Status Trainer::Begin(bool resume) {
  ASSIGN_OR_RETURN(std::string fingerprint, RunFingerprint(options_, *parts_.train));
  absl::Status ready;
  if (parallel_.rank() == 0) {
    absl::StatusOr<std::unique_ptr<RunWriter>> writer = RunWriter::Open({.options = &options_,
                                                                         .fingerprint = fingerprint,
                                                                         .averaged = ema_,
                                                                         .device = parts_.device,
                                                                         .sinks = parts_.sinks,
                                                                         .warn = parts_.warn},
                                                                        resume, &state_);
    ready = writer.status();
    if (writer.ok()) writer_ = *std::move(writer);
  }
  RETURN_IF_ERROR(parallel_.ShareState(ready, fingerprint, &state_));
  parallel_.SumGradients(trained_.get(), gradient_);
  training_step_ =
      std::make_unique<TrainingStep>(TrainingStep::Parts{.options = &options_,
                                                         .train = parts_.train,
                                                         .objective = objective_.get(),
                                                         .network = network_.get(),
                                                         .gradient = gradient_,
                                                         .parallel = &parallel_,
                                                         .first_step = state_.step,
                                                         .loss_history = LossHistory(&state_),
                                                         .loss_hook = parts_.loss_hook});
  return absl::OkStatus();
}

absl::Status Trainer::SkipStep(const StepOutcome& outcome) {
  ++state_.step;
  ++state_.skipped_steps;
  const NonFiniteStep step = {.step = state_.step,
                              .loss = outcome.loss,
                              .gradient_norm = outcome.gradient_norm,
                              .images = outcome.images,
                              .losses = outcome.losses};
  RETURN_IF_ERROR(
      JudgeNonFinite(step, options_.on_nan, state_.skipped_steps, options_.max_skipped_steps));
  if (writer_ != nullptr) parts_.warn(absl::StrCat("skipped ", Describe(step)));
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

RunWriter::TrainedModel Trainer::Trained() const {
  CheckpointConfig model = options_.model;
  RETURN_IF_ERROR(ema_objective_->Export(&model.scheduler));
  return model;
}

void Trainer::Measure() {
  meter_.SetHeldOutLoss(
      HeldOutLoss(*ema_objective_, *ema_, *parts_.held_out,
                  {.images = options_.held_out_images,
                   .batch_size = options_.batch_size,
                   .num_train_timesteps = options_.model.scheduler.num_train_timesteps,
                   .seed = options_.seed}));
}

void Trainer::WritePoint(double gradient_norm) {
  ProgressPoint point = meter_.Take(state_.step);
  point.learning_rate = LearningRateAt(options_, state_.step);
  point.gradient_norm = gradient_norm;
  point.skipped_steps = state_.skipped_steps;
  writer_->WritePoint(point);
}

absl::Status Trainer::Save() {
  return writer_ == nullptr ? absl::OkStatus() : writer_->Save(state_, Trained());
}

absl::Status Trainer::AfterStep(double gradient_norm) {
  if (writer_ == nullptr) return absl::OkStatus();
  const bool last = state_.step == options_.steps;
  const auto due = [&](int64_t every) { return last || (every > 0 && state_.step % every == 0); };
  meter_.PauseClock();
  if (parts_.held_out->size() > 0 && due(options_.eval_every)) Measure();
  meter_.ResumeClock();
  if (due(options_.log_every)) WritePoint(gradient_norm);
  meter_.PauseClock();
  if (options_.sample_every > 0 && due(options_.sample_every)) {
    writer_->WriteSampleSheet(state_.step, Trained());
  }
  absl::Status status;
  if (last || writer_->SaveIsDue(state_.step)) {
    status = Save();
    if (!status.ok() && !last) {
      parts_.warn(absl::StrCat("not saved at step ", state_.step, ": ", status.message(),
                               "; training goes on, the newest saved state is of step ",
                               writer_->saved_step()));
      status = absl::OkStatus();
    }
  }
  meter_.ResumeClock();
  return status;
}

absl::Status Trainer::Run(const std::atomic<bool>& stop) {
  if (state_.step >= options_.steps) {
    // Resumed when done: the last save may have left the checkpoint out.
    return writer_ == nullptr ? absl::OkStatus() : writer_->WriteCheckpoint(Trained());
  }
  bool stopped = stop;
  while (state_.step < options_.steps && !stopped) {
    absl::StatusOr<StepOutcome> outcome = training_step_->Next(stop);
    if (!outcome.ok()) {
      absl::Status saved = Save();  // The step before: this one has changed nothing.
      if (!saved.ok()) parts_.warn(absl::StrCat("not saved: ", saved.message()));
      return outcome.status();
    }
    RETURN_IF_ERROR(TakeStep(*outcome));
    stopped = outcome->stop;
  }
  return stopped ? Save() : absl::OkStatus();
}

}  // namespace diffusiond
