#include "server/rpc/generation_run.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace diffusiond {

GenerationRun::GenerationRun(Options options)
    : options_(std::move(options)),
      sha256_(static_cast<size_t>(options_.images)),
      progress_told_(static_cast<size_t>(options_.images), absl::InfinitePast()) {
  absl::MutexLock lock(&mu_);
  timeline_.accepted = options_.now();
  hold_ = std::exchange(options_.hold, nullptr);
  events_.Push(StreamEvent::Accepted());
}

std::optional<StreamEvent> GenerationRun::Next() {
  absl::MutexLock lock(&mu_);
  return events_.Pop();
}

std::optional<absl::Status> GenerationRun::outcome() const {
  absl::MutexLock lock(&mu_);
  return outcome_;
}

GenerationTimeline GenerationRun::timeline() const {
  absl::MutexLock lock(&mu_);
  return timeline_;
}

void GenerationRun::Close() {
  EventQueue dropped;  // Goes without the lock.
  absl::MutexLock lock(&mu_);
  closed_ = true;
  std::swap(dropped, events_);
}

bool GenerationRun::IsOver() const {
  absl::MutexLock lock(&mu_);
  return over();
}

absl::StatusOr<EncodedFrame> GenerationRun::Timed(const Frame& frame, const EncodeOptions& encode,
                                                  std::optional<int> image_index) {
  const absl::Time start = options_.now();
  absl::StatusOr<EncodedFrame> encoded = options_.encode(frame, encode);
  const absl::Duration duration = options_.now() - start;
  absl::MutexLock lock(&mu_);
  timeline_.encode += duration;
  if (image_index.has_value() && options_.every_steps > 0 &&
      timeline_.encodings.size() < kMaxTimeline) {
    timeline_.encodings.push_back({*image_index, start, duration});
  }
  return encoded;
}

bool GenerationRun::IsToldOf(const StepProgress& progress) {
  if (options_.progress_interval == absl::InfiniteDuration()) return false;
  absl::Time& told = progress_told_[static_cast<size_t>(progress.image_index)];
  const absl::Time now = options_.now();
  const absl::Duration since = now - told;  // Negative where the clock was set back.
  const bool last = progress.steps_done == progress.steps_total;
  if (!last && since >= absl::ZeroDuration() && since < options_.progress_interval) return false;
  told = now;
  return true;
}

void GenerationRun::OnProgress(const StepProgress& progress) {
  {
    absl::MutexLock lock(&mu_);
    if (over()) return;
    if (options_.every_steps > 0 && progress.steps_done % options_.every_steps == 0 &&
        timeline_.steps.size() < kMaxTimeline) {
      timeline_.steps.push_back({.image_index = progress.image_index,
                                 .steps_done = progress.steps_done,
                                 .batch_images = progress.batch_images,
                                 .start = progress.batch_started,
                                 .duration = progress.batch_duration});
    }
    if (!IsToldOf(progress)) return;
    events_.Push(
        StreamEvent::Progress{progress.image_index, progress.steps_done, progress.steps_total});
  }
  options_.wake();
}

void GenerationRun::OnPreview(int image_index, int steps_done, double timestep, PreviewContent kind,
                              Frame frame) {
  if (IsOver()) return;
  absl::StatusOr<EncodedFrame> encoded = Timed(frame, options_.preview, std::nullopt);
  // A frame that cannot be shown costs the preview, not the image.
  bool lost = !encoded.ok();
  {
    absl::MutexLock lock(&mu_);
    if (over()) return;
    if (encoded.ok()) {
      lost = events_.Push(
          StreamEvent::Preview{image_index, steps_done, timestep, kind, *std::move(encoded)});
    }
  }
  if (lost) options_.on_previews_dropped(1);
  options_.wake();
}

void GenerationRun::OnPreviewsDropped(int count) { options_.on_previews_dropped(count); }

void GenerationRun::OnImage(int image_index, Frame frame) {
  if (IsOver()) return;
  absl::StatusOr<EncodedFrame> encoded = Timed(frame, options_.image, image_index);
  {
    absl::MutexLock lock(&mu_);
    if (over()) return;
    if (encoded.ok()) {
      sha256_[static_cast<size_t>(image_index)] = encoded->sha256;
      events_.Push(StreamEvent::FinalImage{image_index, *std::move(encoded)});
    } else {
      outcome_ = absl::InternalError(
          absl::StrCat("image ", image_index, " cannot be encoded: ", encoded.status().message()));
    }
  }
  options_.wake();
}

void GenerationRun::OnFinished(absl::Status status, GenerationTimings timings) {
  std::shared_ptr<const void> held;
  {
    absl::MutexLock lock(&mu_);
    held = std::move(hold_);
    timeline_.engine = timings;
    if (over()) return;
    if (status.ok()) {
      events_.Push(StreamEvent::Completed{.sha256 = std::move(sha256_),
                                          .engine = timings,
                                          .encode = timeline_.encode,
                                          .total = options_.now() - timeline_.accepted});
    }
    outcome_ = std::move(status);
  }
  held.reset();
  options_.wake();
}

}  // namespace diffusiond
