#include "model/evaluation/data_denoiser.h"

#include <cmath>
#include <utility>

#include "model/evaluation/random_streams.h"
#include "model/sampling/network_row.h"
#include "model/sampling/plan_update.h"
#include "model/sampling/row_noise.h"
#include "model/status/status_macros.h"

namespace diffusiond {

DataDenoiser::DataDenoiser(const ModelSchedule& model, const SamplingOptions& sampling,
                           const VariationalBound& bound, const ImageDataset* data,
                           std::vector<int64_t> labels, uint64_t seed, PlanRunner* runner)
    : bound_(bound),
      data_(data),
      labels_(std::move(labels)),
      seed_(seed),
      gives_variance_(model.learned_variance == Variance::kLearned),
      clips_(sampling.clip_sample || sampling.thresholding),
      runner_(runner) {
  SamplingOptions unclipped = sampling;
  unclipped.clip_sample = unclipped.thresholding = false;
  for (int64_t t = 0; t < bound_.num_timesteps(); ++t) {
    PlanRow row =
        VariancePreservingRow(model, unclipped, bound_.alpha_bar(t), static_cast<double>(t));
    row.update = {1, 0, 0, 0};
    levels_.rows.push_back(std::move(row));
  }
  levels_.steps = static_cast<int>(levels_.rows.size());
  PlanRow& row = clip_.rows.emplace_back(VariancePreservingRow(model, sampling, 1, 0));
  row.d_x = 1;
  row.d_f = 0;
  row.update = {1, 0, 0, 0};
}

absl::StatusOr<std::vector<DenoisedImage>> DataDenoiser::Denoise(
    std::span<const NoisedImage> asked) {
  const size_t n = static_cast<size_t>(data_->image_bytes());
  std::vector<DenoisedImage> results(asked.size());
  std::vector<PlanTask> tasks(asked.size());
  std::vector<float> eps(n);
  for (size_t i = 0; i < asked.size(); ++i) {
    const auto [image, t] = asked[i];
    DenoisedImage& result = results[i];
    result.x0 = ToFrame(ImageAt(*data_, image)).values;
    result.x_t.resize(n);
    FillRowNoise(seed_, static_cast<uint32_t>(image), static_cast<uint32_t>(t), eps,
                 kDiffusionStream);
    bound_.Diffuse(t, result.x0, eps, result.x_t);
    tasks[i].plan = &levels_;
    tasks[i].row = static_cast<int>(t);
    tasks[i].seed = seed_;
    tasks[i].image_index = static_cast<uint32_t>(image);
    tasks[i].label = labels_[static_cast<size_t>(image)];
    tasks[i].before = result.x_t;
    tasks[i].keep_g = bound_.learned();
  }
  RETURN_IF_ERROR(runner_->Step(tasks));
  for (size_t i = 0; i < tasks.size(); ++i) {
    if (!tasks[i].status.ok()) return tasks[i].status;
    results[i].x0_hat = std::move(tasks[i].clean);
    if (clips_) {
      std::vector<float> x = results[i].x0_hat;
      results[i].clipped.resize(n);
      ApplyPlanRow(clip_, clip_.rows[0], eps, {}, x, results[i].clipped);
    }
    results[i].v = std::move(tasks[i].g);
    if (gives_variance_) {
      for (float& value : results[i].v) value = std::log(value);
    }
  }
  return results;
}

}  // namespace diffusiond
