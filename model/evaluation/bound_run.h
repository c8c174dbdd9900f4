// Evaluates the variational bound of a model on a data set, image after image, so that it can stop
// and go on anywhere.
#ifndef DIFFUSIOND_MODEL_EVALUATION_BOUND_RUN_H_
#define DIFFUSIOND_MODEL_EVALUATION_BOUND_RUN_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "model/evaluation/bound_sums.h"
#include "model/evaluation/data_denoiser.h"

namespace diffusiond {

// What p(x_0 | x_1), the step to bytes, is: the discretised Gaussian around the network's x0-hat
// (variational_bound.h), or what x_1 alone says of each byte (level_decoder.h), as a model whose
// noise schedule was learned is trained.
enum class ByteDecoder { kGaussian, kLevels };

// The one that a model was trained with: by levels where the schedule was learned. A Gaussian of
// fixed variance makes such a model look poor.
ByteDecoder DecoderOf(const SchedulerConfig& config);

struct BoundRunOptions {
  // Beside timestep 0, which every image has; see TimestepStrata. 0: all.
  int64_t timesteps_per_image = 0;
  ByteDecoder decoder = ByteDecoder::kGaussian;
  uint64_t seed = 0;            // Of the timesteps; that of the noise is the denoiser's.
  std::filesystem::path state;  // The sums so far.
  std::string fingerprint;      // Of model, data and everything that changes the result.
};

// Goes on from `state` if it is there, through all of the data, and leaves the sums there. They are
// the same bits whether or not the run was interrupted. `progress` hears how many images are done,
// at the start too. FAILED_PRECONDITION: `state` is of another run. INTERNAL: a device
// failed, or a term is not finite, as that of a network that predicts epsilon where alpha_bar is 0.
absl::StatusOr<Bounds> RunBound(const BoundRunOptions& options, DataDenoiser* denoiser,
                                const std::function<void(int64_t images_done)>& progress);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_BOUND_RUN_H_
