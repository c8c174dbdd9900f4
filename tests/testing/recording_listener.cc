#include "tests/testing/recording_listener.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace diffusiond {

class RecordingListener::Visit {
 public:
  explicit Visit(RecordingListener* listener) : listener_(listener) {
    EXPECT_EQ(++listener_->visitors_, 1) << "two listener calls at the same time";
    EXPECT_EQ(listener_->finished_calls(), 0) << "a listener call after OnFinished";
  }
  ~Visit() { --listener_->visitors_; }

 private:
  RecordingListener* const listener_;
};

void RecordingListener::Write(std::string line) {
  {
    absl::MutexLock lock(&mu_);
    log_.push_back(line);
  }
  if (hook_) hook_(line);
}

void RecordingListener::OnProgress(int image_index, int steps_done, int steps_total) {
  Visit visit(this);
  Write(absl::StrCat("progress ", image_index, " ", steps_done, "/", steps_total));
}

void RecordingListener::OnPreview(int image_index, int steps_done, double timestep,
                                  PreviewContent kind, Frame frame) {
  Visit visit(this);
  {
    absl::MutexLock lock(&mu_);
    previews_.push_back({image_index, steps_done, timestep, kind, std::move(frame)});
  }
  Write(absl::StrCat("preview ", image_index, " ", steps_done, " ",
                     kind == PreviewContent::kXt ? "x_t" : "x0_hat"));
}

void RecordingListener::OnImage(int image_index, Frame frame) {
  Visit visit(this);
  {
    absl::MutexLock lock(&mu_);
    EXPECT_TRUE(images_.emplace(image_index, std::move(frame)).second) << "an image came twice";
  }
  Write(absl::StrCat("image ", image_index));
}

void RecordingListener::OnFinished(absl::Status status, GenerationTimings timings) {
  Visit visit(this);
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

std::vector<std::string> RecordingListener::log() const {
  absl::MutexLock lock(&mu_);
  return log_;
}

std::vector<RecordingListener::Shown> RecordingListener::previews() const {
  absl::MutexLock lock(&mu_);
  return previews_;
}

std::map<int, Frame> RecordingListener::images() const {
  absl::MutexLock lock(&mu_);
  return images_;
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
