#include "model/evaluation/measure_training.h"

#include <algorithm>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/diffusion/variational_bound.h"
#include "model/evaluation/bound_run.h"
#include "model/evaluation/data_denoiser.h"
#include "model/evaluation/drawn_images.h"
#include "model/evaluation/nearest_images.h"
#include "model/evaluation/unet_lanes.h"
#include "model/files/durable_write.h"
#include "model/files/mapped_file.h"
#include "model/imaging/contact_sheet.h"
#include "model/imaging/png.h"
#include "model/imaging/resize.h"
#include "model/sampling/sampler.h"
#include "model/status/status_macros.h"
#include "model/training/progress/progress_log.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

constexpr int kMicroBatch = 8;
constexpr int64_t kTimestepsPerImage = 20;
constexpr int kNearestImages = 8;
constexpr size_t kSheets = 6;

// At most kSheets of the run's sheets, the last among them.
absl::StatusOr<std::vector<ReportPicture>> SampleSheets(const fs::path& directory) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == ".png") paths.push_back(entry->path());
  }
  std::sort(paths.begin(), paths.end());
  const size_t count = std::min(paths.size(), kSheets);
  std::vector<ReportPicture> pictures;
  for (size_t i = 1; i <= count; ++i) {
    const fs::path& path = paths[paths.size() * i / count - 1];
    ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
    pictures.push_back({.caption = path.stem().string(), .png = std::string(file.text())});
  }
  return pictures;
}

absl::StatusOr<ReportPicture> NearestPairs(const CheckpointConfig& config,
                                           const ModelSchedule& schedule, uint64_t seed,
                                           const ImageDataset& train, PlanRunner* runner) {
  ASSIGN_OR_RETURN(const Setting setting, DefaultSetting(config, kNearestImages));
  ASSIGN_OR_RETURN(DrawnImages drawn, Draw(config, schedule, setting, seed, runner));
  std::vector<Image> images;
  std::vector<std::string> distances;
  for (const Frame& frame : drawn.frames) images.push_back(ToImage(frame));
  for (const Frame& frame : drawn.frames) {
    const NearestImage nearest = FindNearest(train, frame);
    images.push_back(ImageAt(train, nearest.index));
    distances.push_back(absl::StrFormat("%.3f", nearest.rms));
  }
  ASSIGN_OR_RETURN(std::string png, EncodePng(Upscale(ContactSheet(images, kNearestImages), 3)));
  std::string caption = "above: drawn; below: nearest. Root mean squared differences:";
  for (const std::string& distance : distances) absl::StrAppend(&caption, " ", distance);
  return ReportPicture{.caption = caption, .png = std::move(png)};
}

absl::StatusOr<Bounds> Bound(const MeasureTrainingOptions& options, const CheckpointConfig& config,
                             const ModelSchedule& schedule, const ImageDataset& data,
                             PlanRunner* runner) {
  RETURN_IF_ERROR(CheckMeasurable(config.scheduler));
  ASSIGN_OR_RETURN(ReverseVariance variance, ParseReverseVariance(config.scheduler.variance_type));
  std::vector<int64_t> labels(data.labels.begin(), data.labels.end());
  labels.resize(static_cast<size_t>(data.size()));
  DataDenoiser denoiser(schedule, DefaultSamplingOptions(config.scheduler),
                        VariationalBound(schedule.schedule.betas(), variance), &data,
                        std::move(labels), options.seed, runner);
  const fs::path state = TemporarySibling(options.run / "bound");
  absl::Cleanup remove_state = [&state] {
    std::error_code ignored;
    fs::remove(state, ignored);
  };
  return RunBound({.timesteps_per_image = kTimestepsPerImage,
                   .decoder = DecoderOf(config.scheduler),
                   .seed = options.seed,
                   .state = state,
                   .fingerprint = ""},
                  &denoiser, [](int64_t) {});
}

void AddFacts(const MeasureTrainingOptions& options, const Checkpoint& checkpoint,
              const ImageDataset& train, const ImageDataset& held_out, TrainingReport* report) {
  report->facts = {{"command", options.command},
                   {"data", absl::StrFormat("%d training images, %d held out, %dx%dx%d, digest %s",
                                            train.size(), held_out.size(), train.channels,
                                            train.height, train.width, train.digest)},
                   {"checkpoint", checkpoint.digest()}};
  if (report->points.empty()) return;
  const ProgressPoint& last = report->points.back();
  report->facts.insert(
      report->facts.end(),
      {{"steps", absl::StrFormat("%d (%d images seen, %d steps skipped)", last.step, last.images,
                                 last.skipped_steps)},
       {"training loss", absl::StrFormat("%.5f", last.loss)},
       {"held-out loss of the averaged weights",
        last.held_out_loss ? absl::StrFormat("%.5f", *last.held_out_loss) : "not measured"},
       {"from .. to",
        absl::StrCat(absl::FormatTime(report->points.front().time, absl::UTCTimeZone()), " .. ",
                     absl::FormatTime(last.time, absl::UTCTimeZone()))}});
}

}  // namespace

absl::StatusOr<TrainingReport> MeasureTraining(const MeasureTrainingOptions& options,
                                               const ImageDataset& train,
                                               const ImageDataset& held_out) {
  TrainingReport report;
  report.title = absl::StrCat("Training of ", fs::absolute(options.run).filename().string());
  ASSIGN_OR_RETURN(report.points, ReadProgressLog(options.run / "log.jsonl"));
  ASSIGN_OR_RETURN(report.samples, SampleSheets(options.run / "samples"));
  ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(options.run / "checkpoint"));
  const CheckpointConfig& config = checkpoint.config();
  report.num_train_timesteps = config.scheduler.num_train_timesteps;
  AddFacts(options, checkpoint, train, held_out, &report);

  ASSIGN_OR_RETURN(ModelSchedule schedule, MakeModelSchedule(config.scheduler));
  ASSIGN_OR_RETURN(std::unique_ptr<PlanRunner> runner,
                   RunnerOf(checkpoint, kMicroBatch, options.device));
  absl::StatusOr<ReportPicture> nearest =
      NearestPairs(config, schedule, options.seed, train, runner.get());
  if (nearest.ok()) {
    report.nearest = *std::move(nearest);
  } else {
    report.notes.push_back(absl::StrCat("no images drawn: ", nearest.status().message()));
  }
  if (options.bound_images == 0 || held_out.size() == 0) {
    report.notes.push_back("bits/dim not measured: no held-out images, or none asked for");
    return report;
  }
  const ImageDataset data = Select(held_out, EvenlySpread(held_out.size(), options.bound_images));
  absl::StatusOr<Bounds> bound = Bound(options, config, schedule, data, runner.get());
  if (bound.ok()) {
    report.bound = *std::move(bound);
    report.bound_label = absl::StrCat(
        "Held-out images, each at t = 0 and ", kTimestepsPerImage, " other timesteps",
        DecoderOf(config.scheduler) == ByteDecoder::kLevels ? "; L_0 by x_1 alone" : "");
  } else {
    report.notes.push_back(absl::StrCat("bits/dim not measured: ", bound.status().message()));
  }
  return report;
}

}  // namespace diffusiond
