#include "model/training/run/sample_sheet.h"

#include <utility>
#include <vector>

#include "model/imaging/contact_sheet.h"
#include "model/imaging/resize.h"
#include "model/sampling/plan_runner.h"
#include "model/status/status_macros.h"

namespace diffusiond {

absl::StatusOr<Image> DrawSampleSheet(const SamplingPlan& plan, const DrawSpec& spec,
                                      int64_t classes, std::unique_ptr<Denoiser> denoiser,
                                      std::unique_ptr<NoiseClassifier> classifier) {
  std::vector<std::unique_ptr<Denoiser>> lanes;
  lanes.push_back(std::move(denoiser));
  std::vector<std::unique_ptr<NoiseClassifier>> classifiers;
  if (classifier != nullptr) classifiers.push_back(std::move(classifier));
  ASSIGN_OR_RETURN(std::unique_ptr<PlanRunner> runner,
                   PlanRunner::Create(std::move(lanes), std::move(classifiers)));
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < kSampleSheetColumns * kSampleSheetRows; ++i) {
    labels.push_back(classes > 0 ? i % classes : 0);
  }
  ASSIGN_OR_RETURN(std::vector<Frame> frames, DrawImages(plan, spec, labels, runner.get()));
  std::vector<Image> images;
  for (const Frame& frame : frames) images.push_back(ToImage(frame));
  return Upscale(ContactSheet(images, kSampleSheetColumns), 2);
}

}  // namespace diffusiond
