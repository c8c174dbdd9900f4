#include "model/training/options/prior_warning.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_format.h"
#include "model/diffusion/noise_schedule.h"
#include "model/diffusion/variational_bound.h"
#include "model/status/status_macros.h"

namespace diffusiond {

absl::StatusOr<std::string> PriorWarning(const SchedulerConfig& scheduler,
                                         const ImageDataset& images) {
  constexpr int64_t kImages = 256;
  if (scheduler.is_edm()) return "";
  ASSIGN_OR_RETURN(const NoiseSchedule schedule, NoiseSchedule::Create(scheduler));
  const VariationalBound bound(schedule.betas(), ReverseVariance::kFixedSmall);
  const std::vector<int64_t> some =
      EvenlySpread(images.size(), std::min<int64_t>(kImages, images.size()));
  double bits = 0;
  for (const int64_t image : some) bits += bound.PriorBits(ToFrame(ImageAt(images, image)).values);
  bits /= static_cast<double>(std::max<size_t>(1, some.size()));
  if (!(bits > kMostPriorBits)) return "";
  const bool has_end =
      scheduler.beta_schedule == "linear" || scheduler.beta_schedule == "scaled_linear";
  return absl::StrFormat(
      "L_T is %.3f bits/dim, above %g: the last timestep still has an alpha_bar of %.3g of the "
      "image, which drawing, that begins with noise alone, will lack; %s, or take "
      "--rescale_betas_zero_snr%s",
      bits, kMostPriorBits, bound.alpha_bar(bound.num_timesteps() - 1),
      has_end ? "raise --beta_end" : "take another --beta_schedule",
      scheduler.prediction_type == "epsilon" ? " with --prediction_type=v_prediction" : "");
}

}  // namespace diffusiond
