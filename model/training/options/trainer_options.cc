#include "model/training/options/trainer_options.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/checkpoint/scheduler_config_json.h"
#include "model/checkpoint/unet_config_json.h"
#include "model/files/sha256.h"
#include "model/status/status_macros.h"

namespace diffusiond {

absl::Status Validate(const TrainerOptions& options) {
  struct Range {
    const char* flag;
    double value, least, most;
  };
  constexpr double kManySteps = 1e9;
  constexpr double kManyMinutes = 60 * 24 * 365;
  for (const Range& range : {
           Range{"steps", static_cast<double>(options.steps), 1, kManySteps},
           {"batch_size", static_cast<double>(options.batch_size), 1, 65536},
           {"accumulate", static_cast<double>(options.accumulate), 1, 65536},
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
           {"save_every_minutes", absl::ToDoubleMinutes(options.save_interval), 0, kManyMinutes},
           {"keep_checkpoints", static_cast<double>(options.keep_checkpoints), 1, 10000},
           {"max_skipped_steps", static_cast<double>(options.max_skipped_steps), 0, kManySteps},
       }) {
    if (!(range.value >= range.least && range.value <= range.most)) {
      return absl::InvalidArgumentError(absl::StrFormat("--%s is %.10g; it must be %.10g .. %.10g",
                                                        range.flag, range.value, range.least,
                                                        range.most));
    }
  }
  if (options.guidance_scale != 1 && !options.model.classifier && !options.model.null_class_id) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--guidance_scale is ", options.guidance_scale,
        "; without a null class (of data with labels, and --label_dropout above 0) it must be 1"));
  }
  absl::Status status = Validate(options.model);
  status.Update(Validate(options.objective, options.model.scheduler));
  return status;
}

absl::StatusOr<std::string> RunFingerprint(const TrainerOptions& options,
                                           const ImageDataset& train) {
  ASSIGN_OR_RETURN(std::string unet, FormatUNetConfig(options.network()));
  ASSIGN_OR_RETURN(std::string scheduler, FormatSchedulerConfig(options.model.scheduler));
  const std::string text = absl::StrCat(
      unet, scheduler, train.digest, " steps ", options.steps, " batch ", options.batch_size,
      " seed ", options.seed, " lr ", options.learning_rate, " warmup ", options.warmup_steps,
      " cosine ", options.cosine_decay, " decay ", options.weight_decay, " clip ",
      options.clip_grad_norm, " ema ", options.ema_decay, " dropout ", options.label_dropout,
      " flip ", options.flip, options.bf16 ? " bf16" : "", Describe(options.objective),
      options.base != nullptr ? absl::StrCat(" classifier of ", options.base->digest()) : "");
  return Sha256Hex(text);
}

BatchOptions MakeBatchOptions(const TrainerOptions& options) {
  BatchOptions batch;
  batch.batch_size = options.batch_size;
  batch.num_train_timesteps = options.model.scheduler.num_train_timesteps;
  batch.timestep_sampling = options.objective.timestep_sampling;
  batch.seed = options.seed;
  batch.flip = options.flip;
  if (options.model.null_class_id.has_value() && !options.model.classifier) {
    batch.label_dropout = options.label_dropout;
    batch.null_label = *options.model.null_class_id;
  }
  return batch;
}

double LearningRateAt(const TrainerOptions& options, int64_t step) {
  const double s = static_cast<double>(step);
  const double warmup = static_cast<double>(options.warmup_steps);
  if (s < warmup) return options.learning_rate * s / warmup;
  if (!options.cosine_decay) return options.learning_rate;
  const double span = std::max(1.0, static_cast<double>(options.steps) - warmup);
  return options.learning_rate * 0.5 * (1 + std::cos(M_PI * std::min(1.0, (s - warmup) / span)));
}

}  // namespace diffusiond
