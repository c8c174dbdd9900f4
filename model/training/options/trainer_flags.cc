#include "model/training/options/trainer_flags.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/status/status_macros.h"
#include "model/training/options/network_shape.h"
#include "model/training/options/objective_flags.h"

ABSL_FLAG(std::string, out, "", "directory that receives checkpoint/, state, log and samples");
ABSL_FLAG(std::string, classifier_for, "",
          "checkpoint directory: train a noise-conditional classifier for classifier guidance of "
          "this model, at its noise levels, and write the model with it; --channels and the like "
          "are the classifier's, --guidance_scale is its scale on sample sheets");

ABSL_FLAG(std::vector<std::string>, channels, std::vector<std::string>({"32", "64", "96"}),
          "channels of each level; every level after the first halves the resolution");
ABSL_FLAG(int64_t, layers_per_block, 1, "residual blocks a level");
ABSL_FLAG(std::vector<std::string>, attention_at, std::vector<std::string>({"auto"}),
          "levels that have attention, by the image's height there, as in 16,8; none: no level, "
          "nor the middle; "
          "auto: the last level, if it has at most 16 x 16 pixels");
ABSL_FLAG(int64_t, attention_head_dim, 32, "channels of one attention head");
ABSL_FLAG(int64_t, norm_num_groups, 8,
          "groups of group normalisation; divides every channel count");
ABSL_FLAG(double, dropout, 0, "dropout inside residual blocks, 0 .. 1");

// Fields of TrainerOptions: their defaults are the flags'.
// clang-format off
#define TRAINER_FLAGS(FLAG) \
  FLAG(int64_t, steps, "optimiser steps") \
  FLAG(int64_t, batch_size, "images a step, of all processes together") \
  FLAG(int64_t, accumulate, \
       "pieces in which a process computes its share of a batch, to save memory; same result " \
       "within rounding, but for --dropout, which draws anew for each piece") \
  FLAG(bool, checkpoint_activations, \
       "compute activations inside blocks again in backward: same result within rounding, " \
       "less memory, more time") \
  FLAG(bool, bf16, \
       "products and convolutions in bfloat16, weights in float32; for GPUs, slow on most " \
       "CPUs") \
  FLAG(bool, channels_last, \
       "activations in channels-last layout: same result within rounding; for GPUs with " \
       "--bf16, slower on CPUs") \
  FLAG(bool, cuda_graph, \
       "launch a step's kernels on the GPU as one CUDA graph: for networks and batches so " \
       "small that the GPU waits for the host") \
  FLAG(uint64_t, seed, "of initial weights, data order, noise and timesteps") \
  FLAG(double, learning_rate, "AdamW's") \
  FLAG(int64_t, warmup_steps, "steps over which the learning rate rises from 0") \
  FLAG(bool, cosine_decay, "let the learning rate fall to 0 along a cosine") \
  FLAG(double, weight_decay, "AdamW's") \
  FLAG(double, clip_grad_norm, "largest gradient norm; 0: no clipping") \
  FLAG(double, ema_decay, "of the averaged weights that are saved for serving") \
  FLAG(double, label_dropout, \
       "share of images trained without their label (classifier-free guidance); 0: no null " \
       "class") \
  FLAG(bool, flip, "mirror images at random") \
  FLAG(int64_t, held_out_images, "held-out images of the progress line's loss") \
  FLAG(int64_t, log_every, "steps between progress lines") \
  FLAG(int64_t, eval_every, "steps between held-out losses") \
  FLAG(int64_t, sample_every, "steps between sample sheets") \
  FLAG(int64_t, save_every, "steps between saves; 0: none but by time and at the end") \
  FLAG(int64_t, keep_checkpoints, "saved states that stay in --out/states, the newest") \
  FLAG(int64_t, max_skipped_steps, "with --on_nan=skip: one more ends the run") \
  FLAG(double, guidance_scale, "of sample sheets, and the served model's default")
// clang-format on
#define DIFFUSIOND_DEFINE(type, name, help) \
  ABSL_FLAG(type, name, diffusiond::TrainerOptions().name, help);
TRAINER_FLAGS(DIFFUSIOND_DEFINE)
#undef DIFFUSIOND_DEFINE

ABSL_FLAG(double, save_every_minutes, 0, "save also when this has passed; 0: by steps alone");
ABSL_FLAG(std::string, on_nan, "stop",
          "when the loss or the gradient is not finite: stop, or skip the step");
ABSL_FLAG(std::string, sampler, "",
          "of sample sheets, and the served model's default; empty: ddim, with --edm euler");
ABSL_FLAG(int64_t, sampler_steps, 50, "of sample sheets, and the served model's default");
ABSL_FLAG(
    std::string, sampler_spacing, "trailing",
    "which timesteps the sampler takes, of sample sheets, and the served model's default: "
    "leading, trailing or linspace; trailing alone begins with the noise of the last timestep "
    "whatever the number of steps");
ABSL_FLAG(double, eta, 1, "of sample sheets, and the served model's default (ddim)");
ABSL_DECLARE_FLAG(std::optional<double>, beta_start);
ABSL_DECLARE_FLAG(std::optional<double>, beta_end);
ABSL_DECLARE_FLAG(bool, rescale_betas_zero_snr);
ABSL_DECLARE_FLAG(double, sigma_data);
ABSL_DECLARE_FLAG(double, sigma_min);
ABSL_DECLARE_FLAG(double, sigma_max);

namespace diffusiond {
namespace {

std::string SamplerFromFlags(const SchedulerConfig& scheduler) {
  std::string sampler = absl::GetFlag(FLAGS_sampler);
  if (!sampler.empty()) return sampler;
  return scheduler.is_edm() ? "euler" : "ddim";
}

absl::Status CheckSpacingFlag() {
  const std::string spacing = absl::GetFlag(FLAGS_sampler_spacing);
  if (FromWord<TimestepSpacing>(spacing).has_value()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--sampler_spacing: \"", spacing, "\" is not one of ",
                   absl::StrJoin(Words<TimestepSpacing>::kAll, ", ")));
}

// Before hours of training, and by the flag's own name.
absl::Status CheckSamplerSteps(const SchedulerConfig& scheduler) {
  const int64_t steps = absl::GetFlag(FLAGS_sampler_steps);
  const int64_t timesteps = scheduler.num_train_timesteps;
  if (steps < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("--sampler_steps is ", steps, "; it must be 1 or more"));
  }
  if (scheduler.is_edm() || timesteps < 1 || steps <= timesteps) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--sampler_steps is ", steps, "; it must be 1 .. ",
                                                 timesteps, ", the model's --num_train_timesteps"));
}

// A flag that would do nothing is a mistake.
absl::Status CheckObjectiveFlags(const ObjectiveOptions& objective,
                                 const SchedulerConfig& scheduler) {
  const ObjectiveOptions plain;
  const EdmConfig edm;
  struct Idle {
    bool changed, heard;
    const char* flag;
    const char* needs;
  };
  for (const Idle& flag : {
           Idle{objective.weight.min_snr_gamma != plain.weight.min_snr_gamma,
                objective.weight.kind == LossWeight::kMinSnr, "--min_snr_gamma",
                "--loss_weight=min_snr"},
           {objective.vlb_weight != plain.vlb_weight, scheduler.learns_variance(), "--vlb_weight",
            "--variance_type=learned_range"},
           {objective.edm_mean != plain.edm_mean, scheduler.is_edm(), "--edm_mean", "--edm"},
           {objective.edm_deviation != plain.edm_deviation, scheduler.is_edm(), "--edm_deviation",
            "--edm"},
           {absl::GetFlag(FLAGS_sigma_data) != edm.sigma_data, scheduler.is_edm(), "--sigma_data",
            "--edm"},
           {absl::GetFlag(FLAGS_sigma_min) != edm.sigma_min, scheduler.is_edm(), "--sigma_min",
            "--edm"},
           {absl::GetFlag(FLAGS_sigma_max) != edm.sigma_max, scheduler.is_edm(), "--sigma_max",
            "--edm"},
       }) {
    if (!flag.changed || flag.heard) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(flag.flag, " is given; it does nothing without ", flag.needs));
  }
  return absl::OkStatus();
}

// A flag that would do nothing is a mistake.
absl::Status CheckBetaFlags(const SchedulerConfig& scheduler) {
  const bool edm = scheduler.is_edm();
  const std::string& schedule = scheduler.beta_schedule;
  const bool fixed = schedule == "squaredcos_cap_v2" || schedule == "laplace" || schedule == "exp";
  for (const auto& [flag, given] :
       {std::pair<const char*, bool>{"--beta_start", absl::GetFlag(FLAGS_beta_start).has_value()},
        {"--beta_end", absl::GetFlag(FLAGS_beta_end).has_value()}}) {
    if (!given || (!edm && !fixed)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        flag, " is given; ", edm ? "a model of EDM" : absl::StrCat("--beta_schedule=", schedule),
        " has none"));
  }
  if (edm && absl::GetFlag(FLAGS_rescale_betas_zero_snr)) {
    return absl::InvalidArgumentError(
        "--rescale_betas_zero_snr is given; a model of EDM has no betas");
  }
  return absl::OkStatus();
}

NetworkShape ShapeFromFlags() {
  NetworkShape shape;
  shape.channels = absl::GetFlag(FLAGS_channels);
  shape.layers_per_block = absl::GetFlag(FLAGS_layers_per_block);
  shape.attention_at = absl::GetFlag(FLAGS_attention_at);
  shape.attention_head_dim = absl::GetFlag(FLAGS_attention_head_dim);
  shape.norm_num_groups = absl::GetFlag(FLAGS_norm_num_groups);
  shape.dropout = absl::GetFlag(FLAGS_dropout);
  shape.null_class = absl::GetFlag(FLAGS_label_dropout) > 0;
  return shape;
}

// A classifier's model is another run's, whose flags these are not.
absl::Status DescribeClassifierByFlags(const std::string& classifier_for, const ImageDataset& data,
                                       TrainerOptions* options) {
  ASSIGN_OR_RETURN(Checkpoint base, Checkpoint::Open(classifier_for));
  options->base = std::make_shared<const Checkpoint>(std::move(base));
  options->model = options->base->config();
  return DescribeClassifier(ShapeFromFlags(), data, &options->model);
}

absl::Status DescribeModelByFlags(const ImageDataset& data, CheckpointConfig* model) {
  absl::Status status = DescribeModel(ShapeFromFlags(), data, model);
  if (!status.ok()) return status;
  model->scheduler = SchedulerFromFlags();
  RETURN_IF_ERROR(CheckBetaFlags(model->scheduler));
  RETURN_IF_ERROR(CheckObjectiveFlags(ObjectiveFromFlags(), model->scheduler));
  if (!model->scheduler.is_edm()) {
    model->scheduler.timestep_spacing = absl::GetFlag(FLAGS_sampler_spacing);
  }
  if (model->scheduler.learns_variance()) model->unet.out_channels *= 2;
  model->generation =
      GenerationDefaults{.guidance_scale = absl::GetFlag(FLAGS_guidance_scale),
                         .options = {{"sampler", SamplerFromFlags(model->scheduler)},
                                     {"steps", int64_t{absl::GetFlag(FLAGS_sampler_steps)}},
                                     {"eta", absl::GetFlag(FLAGS_eta)},
                                     {"timestep_spacing", absl::GetFlag(FLAGS_sampler_spacing)}}};
  return absl::OkStatus();
}

SamplingOptions SheetSamplingFromFlags(const SchedulerConfig& scheduler) {
  SamplingOptions sampling =
      ForSampler(SamplerFromFlags(scheduler), DefaultSamplingOptions(scheduler));
  sampling.steps = absl::GetFlag(FLAGS_sampler_steps);
  sampling.eta = absl::GetFlag(FLAGS_eta);
  sampling.timestep_spacing = *FromWord<TimestepSpacing>(absl::GetFlag(FLAGS_sampler_spacing));
  return sampling;
}

}  // namespace

absl::StatusOr<TrainerOptions> TrainerOptionsFromFlags(const ImageDataset& data) {
  if (absl::GetFlag(FLAGS_out).empty()) return absl::InvalidArgumentError("--out is required");
  RETURN_IF_ERROR(CheckSpacingFlag());
  TrainerOptions options;
  options.objective = ObjectiveFromFlags();
  const std::string classifier_for = absl::GetFlag(FLAGS_classifier_for);
  RETURN_IF_ERROR(classifier_for.empty()
                      ? DescribeModelByFlags(data, &options.model)
                      : DescribeClassifierByFlags(classifier_for, data, &options));

  RETURN_IF_ERROR(CheckSamplerSteps(options.model.scheduler));

  options.out = absl::GetFlag(FLAGS_out);
#define DIFFUSIOND_TAKE(type, name, help) options.name = absl::GetFlag(FLAGS_##name);
  TRAINER_FLAGS(DIFFUSIOND_TAKE)
#undef DIFFUSIOND_TAKE
  options.save_interval = absl::Minutes(absl::GetFlag(FLAGS_save_every_minutes));
  ASSIGN_OR_RETURN(options.on_nan, ParseOnNonFinite(absl::GetFlag(FLAGS_on_nan)));
  options.sampling = SheetSamplingFromFlags(options.model.scheduler);
  return options;
}

}  // namespace diffusiond
