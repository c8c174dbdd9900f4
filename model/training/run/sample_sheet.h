// What the model draws by now, on one picture.
#ifndef DIFFUSIOND_MODEL_TRAINING_RUN_SAMPLE_SHEET_H_
#define DIFFUSIOND_MODEL_TRAINING_RUN_SAMPLE_SHEET_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "model/imaging/image.h"
#include "model/sampling/denoiser.h"
#include "model/sampling/draw_images.h"
#include "model/sampling/noise_classifier.h"
#include "model/sampling/sampling_plan.h"

namespace diffusiond {

inline constexpr int kSampleSheetColumns = 10;
inline constexpr int kSampleSheetRows = 4;

// Image i has label i modulo `classes` (0: none), so that ten classes stand in columns; the same
// seed draws the same noise, so that sheets of two steps compare. Pixels are doubled. The
// denoiser's rows should divide the sheet's columns. `classifier`: for spec.guidance; may be null.
absl::StatusOr<Image> DrawSampleSheet(const SamplingPlan& plan, const DrawSpec& spec,
                                      int64_t classes, std::unique_ptr<Denoiser> denoiser,
                                      std::unique_ptr<NoiseClassifier> classifier = nullptr);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_RUN_SAMPLE_SHEET_H_
