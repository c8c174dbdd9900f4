#include "model/training/trainer.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/checkpoint/durable_write.h"
#include "model/checkpoint/scheduler_config_json.h"
#include "model/checkpoint/sha256.h"
#include "model/checkpoint/unet_config_json.h"
#include "model/imaging/contact_sheet.h"
#include "model/imaging/png.h"
#include "model/imaging/resize.h"
#include "model/sampling/draw_images.h"
#include "model/training/flat_parameters.h"
#include "model/unet/unet_checkpoint.h"
#include "model/unet/unet_denoiser.h"

namespace diffusiond {
namespace {

// Everything that the weights after a step depend on, but for the thread count.
absl::StatusOr<std::string> Fingerprint(const TrainerOptions& options, const ImageDataset& train) {
  absl::StatusOr<std::string> unet = FormatUNetConfig(options.model.unet);
  if (!unet.ok()) return unet.status();
  absl::StatusOr<std::string> scheduler = FormatSchedulerConfig(options.model.scheduler);
  if (!scheduler.ok()) return scheduler.status();
  const std::string text =
      absl::StrCat(*unet, *scheduler, train.digest, " steps ", options.steps, " batch ",
                   options.batch_size, " seed ", options.seed, " lr ", options.learning_rate,
                   " warmup ", options.warmup_steps, " cosine ", options.cosine_decay, " decay ",
                   options.weight_decay, " clip ", options.clip_grad_norm, " ema ",
                   options.ema_decay, " dropout ", options.label_dropout, " flip ", options.flip);
  return Sha256Hex(text);
}

BatchOptions MakeBatchOptions(const TrainerOptions& options) {
  BatchOptions batch;
  batch.batch_size = options.batch_size;
  batch.num_train_timesteps = options.model.scheduler.num_train_timesteps;
  batch.seed = options.seed;
  batch.flip = options.flip;
  if (options.model.null_class_id.has_value()) {
    batch.label_dropout = options.label_dropout;
    batch.null_label = *options.model.null_class_id;
  }
  return batch;
}

bool Due(int64_t step, int64_t every) { return every > 0 && step % every == 0; }

}  // namespace

absl::Status Validate(const TrainerOptions& options) {
  struct Range {
    const char* field;
    double value, least, most;
  };
  constexpr double kManySteps = 1e9;
  for (const Range& range : {
           Range{"steps", static_cast<double>(options.steps), 1, kManySteps},
           {"batch_size", static_cast<double>(options.batch_size), 1, 65536},
           {"learning_rate", options.learning_rate, 0, 1},
           {"warmup_steps", static_cast<double>(options.warmup_steps), 0, kManySteps},
           {"weight_decay", options.weight_decay, 0, 1},
           {"clip_grad_norm", options.clip_grad_norm, 0, 1e6},
           {"ema_decay", options.ema_decay, 0, 1},
           {"label_dropout", options.label_dropout, 0, 1},
           {"guidance_scale", options.guidance_scale, 0, 50},
           {"held_out_images", static_cast<double>(options.held_out_images), 1, kManySteps},
           {"log_every", static_cast<double>(options.log_every), 0, kManySteps},
           {"eval_every", static_cast<double>(options.eval_every), 0, kManySteps},
           {"sample_every", static_cast<double>(options.sample_every), 0, kManySteps},
           {"save_every", static_cast<double>(options.save_every), 0, kManySteps},
       }) {
    if (!(range.value >= range.least && range.value <= range.most)) {
      return absl::InvalidArgumentError(absl::StrCat(
          range.field, " is ", range.value, "; it must be ", range.least, " .. ", range.most));
    }
  }
  return Validate(options.model);
}

Trainer::Trainer(TrainerOptions options, const ImageDataset* train, const ImageDataset* held_out,
                 ModelSchedule schedule)
    : options_(std::move(options)),
      train_(train),
      held_out_(held_out),
      schedule_(std::move(schedule)),
      objective_(schedule_.schedule, schedule_.prediction_type, options_.device),
      batches_(train, MakeBatchOptions(options_)) {
  network_ = std::make_shared<UNet>(options_.model.unet);
  network_->ResetParameters(options_.seed);
  network_->to(options_.device);
  ema_ = std::make_shared<UNet>(options_.model.unet);
  ema_->ResetParameters(options_.seed);
  ema_->to(options_.device);
  ema_->eval();
  state_.parameters = FlattenParameters(network_.get());
  state_.ema = FlattenParameters(ema_.get());
  state_.first_moment = torch::zeros_like(state_.parameters);
  state_.second_moment = torch::zeros_like(state_.parameters);
  gradient_ = FlattenGradients(network_.get());
}

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Create(TrainerOptions options,
                                                         const ImageDataset* train,
                                                         const ImageDataset* held_out,
                                                         bool resume) {
  if (absl::Status status = Validate(options); !status.ok()) return status;
  if (absl::Status status = CheckTrainable(options.model.scheduler); !status.ok()) return status;
  absl::StatusOr<ModelSchedule> schedule = MakeModelSchedule(options.model.scheduler);
  if (!schedule.ok()) return schedule.status();
  if (absl::StatusOr<SamplingPlan> plan = CompilePlan(*schedule, options.sampling); !plan.ok()) {
    return plan.status();  // Now, not at the first sample sheet.
  }
  absl::StatusOr<std::string> fingerprint = Fingerprint(options, *train);
  if (!fingerprint.ok()) return fingerprint.status();

  std::error_code error;
  std::filesystem::create_directories(options.out / "samples", error);
  if (error) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot create ", (options.out / "samples").string(), ": ", error.message()));
  }
  const std::filesystem::path state_path = options.out / "state.safetensors";
  if (!resume && std::filesystem::exists(state_path)) {
    return absl::AlreadyExistsError(
        absl::StrCat(state_path.string(), " exists: give --resume to go on, or another --out"));
  }

  std::unique_ptr<Trainer> trainer(
      new Trainer(std::move(options), train, held_out, *std::move(schedule)));
  trainer->fingerprint_ = *std::move(fingerprint);
  if (resume) {
    if (absl::Status status =
            LoadTrainingState(state_path, trainer->fingerprint_, &trainer->state_);
        !status.ok()) {
      return status;
    }
  }
  absl::StatusOr<std::unique_ptr<ProgressLog>> log = ProgressLog::Open(
      trainer->options_.out / "log.jsonl", trainer->options_.steps, trainer->options_.batch_size);
  if (!log.ok()) return log.status();
  trainer->log_ = *std::move(log);
  return trainer;
}

double Trainer::LearningRate(int64_t step) const {
  const double s = static_cast<double>(step);
  const double warmup = static_cast<double>(options_.warmup_steps);
  if (s < warmup) return options_.learning_rate * s / warmup;
  if (!options_.cosine_decay) return options_.learning_rate;
  const double span = std::max(1.0, static_cast<double>(options_.steps) - warmup);
  return options_.learning_rate * 0.5 * (1 + std::cos(M_PI * std::min(1.0, (s - warmup) / span)));
}

absl::StatusOr<double> Trainer::Step(double* gradient_norm) {
  batches_.Fill(state_.step, &batch_);
  // Dropout is the one thing that draws from LibTorch's generator.
  torch::manual_seed(options_.seed * 0x9E3779B97F4A7C15ULL + static_cast<uint64_t>(state_.step));
  network_->train();
  gradient_.zero_();
  const torch::Tensor loss = objective_.LossPerImage(*network_, batch_).mean();
  loss.backward();
  const double value = loss.item<double>();
  *gradient_norm = gradient_.norm().item<double>();
  if (!std::isfinite(value) || !std::isfinite(*gradient_norm)) {
    return absl::InternalError(absl::StrCat("step ", state_.step, ": the loss is ", value,
                                            " and the gradient's norm ", *gradient_norm));
  }
  torch::NoGradGuard no_grad;
  if (options_.clip_grad_norm > 0 && *gradient_norm > options_.clip_grad_norm) {
    gradient_.mul_(options_.clip_grad_norm / *gradient_norm);
  }
  ++state_.step;
  AdamWStep(gradient_, LearningRate(state_.step), options_.weight_decay, &state_);
  UpdateEma(options_.ema_decay, &state_);
  return value;
}

double Trainer::HeldOutLoss() const {
  torch::NoGradGuard no_grad;
  const int64_t count = std::min(options_.held_out_images, held_out_->size());
  double sum = 0;
  TrainingBatch batch;
  for (int64_t begin = 0; begin < count; begin += options_.batch_size) {
    FillHeldOutBatch(*held_out_, begin, std::min(options_.batch_size, count - begin),
                     schedule_.schedule.num_train_timesteps(), options_.seed, &batch);
    sum += objective_.LossPerImage(*ema_, batch).sum().item<double>();
  }
  return sum / static_cast<double>(count);
}

absl::Status Trainer::WriteSampleSheet() const {
  constexpr int kColumns = 10;
  constexpr int kRows = 4;
  absl::StatusOr<SamplingPlan> plan = CompilePlan(schedule_, options_.sampling);
  if (!plan.ok()) return plan.status();
  UNetDenoiser::Options denoiser;
  denoiser.rows = kColumns;
  denoiser.device = options_.device;
  denoiser.intra_op_threads = at::get_num_threads();
  std::vector<std::unique_ptr<Denoiser>> lanes;
  lanes.push_back(std::make_unique<UNetDenoiser>(ema_, denoiser));
  absl::StatusOr<std::unique_ptr<PlanRunner>> runner = PlanRunner::Create(std::move(lanes));
  if (!runner.ok()) return runner.status();

  const int64_t classes = static_cast<int64_t>(options_.model.class_names.size());
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < kColumns * kRows; ++i) labels.push_back(classes > 0 ? i % classes : 0);
  DrawSpec spec;
  spec.seed = options_.seed;
  spec.guidance.scale = options_.guidance_scale;
  spec.null_label = options_.model.null_class_id.value_or(0);
  absl::StatusOr<std::vector<Frame>> frames = DrawImages(*plan, spec, labels, runner->get());
  if (!frames.ok()) return frames.status();
  std::vector<Image> images;
  for (const Frame& frame : *frames) images.push_back(ToImage(frame));
  absl::StatusOr<std::string> png = EncodePng(Upscale(ContactSheet(images, kColumns), 2));
  if (!png.ok()) return png.status();
  return ReplaceFile(options_.out / "samples" / absl::StrFormat("step-%07d.png", state_.step),
                     *png);
}

absl::Status Trainer::Save() const {
  const std::shared_ptr<UNet> ema = ema_;
  TensorMap views;
  std::vector<torch::Tensor> host;  // Keeps what the views look at.
  for (const auto& parameter : ema->named_parameters()) {
    host.push_back(parameter.value().detach().to(torch::kCPU).contiguous());
    views[parameter.key()] =
        TensorView{.dtype = Dtype::kF32,
                   .shape = host.back().sizes().vec(),
                   .data = std::as_bytes(std::span(host.back().data_ptr<float>(),
                                                   static_cast<size_t>(host.back().numel())))};
  }
  // The state last: it is what resuming trusts, and must not be ahead of the checkpoint.
  if (absl::Status status = SaveCheckpoint(options_.out / "checkpoint", options_.model, views);
      !status.ok()) {
    return status;
  }
  return SaveTrainingState(options_.out / "state.safetensors", state_, fingerprint_);
}

absl::Status Trainer::AfterStep(double loss, double gradient_norm) {
  log_->AddStep(loss);
  const bool last = state_.step == options_.steps;
  const bool evaluate = held_out_->size() > 0 && (last || Due(state_.step, options_.eval_every));
  const bool sample = last || Due(state_.step, options_.sample_every);
  const bool save = last || Due(state_.step, options_.save_every);
  const bool log = last || Due(state_.step, options_.log_every);
  if (!evaluate && !sample && !save && !log) return absl::OkStatus();
  log_->PauseClock();
  if (evaluate) log_->SetHeldOutLoss(HeldOutLoss());
  log_->ResumeClock();
  if (log) {
    ProgressPoint point;
    point.step = state_.step;
    point.learning_rate = LearningRate(state_.step);
    point.gradient_norm = gradient_norm;
    log_->Write(point);
  }
  log_->PauseClock();
  absl::Status status;
  if (sample) status = WriteSampleSheet();
  if (status.ok() && save) status = Save();
  log_->ResumeClock();
  return status;
}

absl::Status Trainer::Run(const std::atomic<bool>& stop) {
  while (state_.step < options_.steps) {
    if (stop) return Save();
    double gradient_norm = 0;
    absl::StatusOr<double> loss = Step(&gradient_norm);
    if (!loss.ok()) return loss.status();
    if (absl::Status status = AfterStep(*loss, gradient_norm); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace diffusiond
