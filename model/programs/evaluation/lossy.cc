#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/evaluation/lossy_code.h"
#include "model/files/durable_write.h"
#include "model/imaging/contact_sheet.h"
#include "model/imaging/resize.h"
#include "model/programs/evaluation/bound_measurement.h"
#include "model/programs/evaluation/commands.h"
#include "model/programs/evaluation/evaluation_input.h"
#include "model/status/status_macros.h"

ABSL_FLAG(int, strips, 8, "lossy: images whose x0-hat is shown along t");

namespace diffusiond {
namespace {

constexpr int64_t kDefaultImages = 40;
constexpr int64_t kStripLevels = 15;

// Rows of x0-hat from the most noise to the least, and the image itself.
absl::StatusOr<Image> Strips(const EvaluationInput& input, const ModelOnData& model,
                             int64_t images) {
  const int64_t timesteps = model.denoiser->bound().num_timesteps();
  const int64_t levels = std::min(kStripLevels, timesteps);
  std::vector<NoisedImage> asked;
  for (const int64_t image : EvenlySpread(input.data.size(), images)) {
    for (int64_t i = 0; i < levels; ++i) {
      asked.push_back(
          {image, (timesteps - 1) * (levels - 1 - i) / std::max<int64_t>(1, levels - 1)});
    }
  }
  ASSIGN_OR_RETURN(std::vector<DenoisedImage> denoised, model.denoiser->Denoise(asked));
  std::vector<Image> cells;
  for (size_t i = 0; i < denoised.size(); ++i) {
    cells.push_back(ToImage({input.data.channels, input.data.height, input.data.width,
                             model.denoiser->clips() ? denoised[i].clipped : denoised[i].x0_hat}));
    if (static_cast<int64_t>(i + 1) % levels == 0) {
      cells.push_back(ImageAt(input.data, asked[i].image));
    }
  }
  return Upscale(ContactSheet(cells, static_cast<int>(levels) + 1), 2);
}

// The least rate from which on the distortion is at most `distortion`.
double RateFor(const std::vector<RatePoint>& points, double distortion) {
  double rate = points.back().rate;
  for (auto point = points.rbegin(); point != points.rend(); ++point) {
    if (point->distortion > distortion) break;
    rate = point->rate;
  }
  return rate;
}

}  // namespace

absl::Status RunLossyCommand() {
  const int strips = absl::GetFlag(FLAGS_strips);
  if (strips < 1 || strips > 64) {
    return absl::InvalidArgumentError(absl::StrCat("--strips is ", strips, "; it must be 1 .. 64"));
  }
  ASSIGN_OR_RETURN(EvaluationInput input, OpenEvaluationInput(kDefaultImages));
  ASSIGN_OR_RETURN(ModelOnData model, PutModelOnData(input));
  ASSIGN_OR_RETURN(MeasuredBound bound, MeasureBound(input, model, /*timesteps_per_image=*/0,
                                                     ByteDecoder::kGaussian, "lossy.state"));

  // A decoder that knows the range of pixels clips, if the sampler does.
  const std::vector<RatePoint> points =
      RateDistortion(bound.bounds.clips() ? bound.bounds.clipped : bound.bounds.network);
  for (const double distortion : {30.0, 20.0, 10.0, 5.0}) {
    std::cout << absl::StrFormat("%8.5f bits/dim for a root mean squared error of %g of 255\n",
                                 RateFor(points, distortion), distortion);
  }
  std::cout << absl::StrFormat("%8.5f bits/dim for the image itself\n", points.back().rate);
  ASSIGN_OR_RETURN(Image sheet, Strips(input, model, strips));
  absl::Status status = WritePngFile(input.out / "lossy_strips.png", sheet);
  if (status.ok()) status = ReplaceFile(input.out / "lossy.csv", RateDistortionCsv(points));
  if (status.ok()) {
    status = ReplaceFile(input.out / "lossy.svg", RateDistortionPlot(points, bound.label));
  }
  return status;
}

}  // namespace diffusiond
