#include "tests/testing/recording_listener.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace diffusiond {

class RecordingListener::Visit {
 public:
  Visit(RecordingListener* listener, int image_index, Call call)
      : listener_(listener), visit_(image_index, call) {
    absl::MutexLock lock(&listener_->mu_);
    for (const auto& [image, running] : listener_->running_) {
      const bool ends = call == Call::kFinished || running == Call::kFinished;
      const bool beside = (call == Call::kProgress && running == Call::kPreview) ||
                          (call == Call::kPreview && running == Call::kProgress);
      EXPECT_TRUE(!ends && (image != image_index || beside))
          << "calls for image " << image << " and image " << image_index << " at the same time";
    }
    EXPECT_EQ(listener_->images_.count(image_index), 0u) << "a call after the image";
    EXPECT_EQ(listener_->finished_calls_, 0) << "a call after OnFinished";
    listener_->running_.insert(visit_);
  }
  ~Visit() {
    absl::MutexLock lock(&listener_->mu_);
    listener_->running_.erase(visit_);
  }

 private:
  RecordingListener* const listener_;
  const std::pair<int, Call> visit_;
};

void RecordingListener::Write(std::string line) {
  {
    absl::MutexLock lock(&mu_);
    log_.push_back(line);
  }
  if (hook_) hook_(line);
}

void RecordingListener::OnProgress(const StepProgress& progress) {
  {
    // Before the visit: a preview beside it finds this step, not the one before.
    absl::MutexLock lock(&mu_);
    int& last = steps_done_[progress.image_index];
    EXPECT_GT(progress.steps_done, last) << "of image " << progress.image_index;
    last = progress.steps_done;
  }
  Visit visit(this, progress.image_index, Call::kProgress);
  Write(absl::StrCat("progress ", progress.image_index, " ", progress.steps_done, "/",
                     progress.steps_total));
}

void RecordingListener::OnPreview(int image_index, int steps_done, double timestep,
                                  PreviewContent kind, Frame frame) {
  Visit visit(this, image_index, Call::kPreview);
  {
    absl::MutexLock lock(&mu_);
    if (running_.count({image_index, Call::kProgress}) > 0) {
      EXPECT_GT(steps_done_[image_index], steps_done) << "a preview beside its step's progress";
    }
    previews_.push_back({image_index, steps_done, timestep, kind, std::move(frame)});
  }
  Write(absl::StrCat("preview ", image_index, " ", steps_done, " ",
                     kind == PreviewContent::kXt ? "x_t" : "x0_hat"));
}

void RecordingListener::OnImage(int image_index, Frame frame) {
  Visit visit(this, image_index, Call::kImage);
  {
    absl::MutexLock lock(&mu_);
    EXPECT_TRUE(images_.emplace(image_index, std::move(frame)).second) << "an image came twice";
  }
  Write(absl::StrCat("image ", image_index));
}

void RecordingListener::OnPreviewsDropped(int count) {
  absl::MutexLock lock(&mu_);
  EXPECT_EQ(finished_calls_, 0) << "a listener call after OnFinished";
  previews_dropped_ += count;
}

void RecordingListener::OnFinished(absl::Status status, GenerationTimings timings) {
  Visit visit(this, /*image_index=*/-1, Call::kFinished);
  Write(absl::StrCat("finished ", absl::StatusCodeToString(status.code())));
  // Last: a thread in AwaitFinished may destroy the listener's dependencies at once.
  absl::MutexLock lock(&mu_);
  status_ = std::move(status);
  timings_ = timings;
  ++finished_calls_;
}

absl::Status RecordingListener::AwaitFinished() const {
  absl::MutexLock lock(&mu_);
  const auto finished = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return finished_calls_ > 0; };
  mu_.Await(absl::Condition(&finished));
  return status_;
}

void RecordingListener::AwaitLine(const std::string& line) const {
  absl::MutexLock lock(&mu_);
  const auto there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return std::find(log_.begin(), log_.end(), line) != log_.end();
  };
  mu_.Await(absl::Condition(&there));
}

void RecordingListener::AwaitPreviewsDropped(int count) const {
  absl::MutexLock lock(&mu_);
  const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return previews_dropped_ >= count; };
  mu_.Await(absl::Condition(&enough));
}

std::vector<std::string> RecordingListener::log() const {
  absl::MutexLock lock(&mu_);
  return log_;
}

std::vector<std::string> RecordingListener::log_of(int image_index) const {
  std::vector<std::string> of_image;
  for (std::string& line : log()) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (words[1] == absl::StrCat(image_index)) of_image.push_back(std::move(line));
  }
  return of_image;
}

std::vector<RecordingListener::Shown> RecordingListener::previews() const {
  absl::MutexLock lock(&mu_);
  return previews_;
}

std::map<int, Frame> RecordingListener::images() const {
  absl::MutexLock lock(&mu_);
  return images_;
}

int RecordingListener::previews_dropped() const {
  absl::MutexLock lock(&mu_);
  return previews_dropped_;
}

int RecordingListener::finished_calls() const {
  absl::MutexLock lock(&mu_);
  return finished_calls_;
}

absl::Status RecordingListener::status() const {
  absl::MutexLock lock(&mu_);
  return status_;
}

GenerationTimings RecordingListener::timings() const {
  absl::MutexLock lock(&mu_);
  return timings_;
}

}  // namespace diffusiond
