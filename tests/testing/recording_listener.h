// A listener that writes everything down.
#ifndef DIFFUSIOND_TESTS_TESTING_RECORDING_LISTENER_H_
#define DIFFUSIOND_TESTS_TESTING_RECORDING_LISTENER_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/generation.h"

namespace diffusiond {

// Thread-safe. Calls that GenerationListener does not allow are test failures: two for one image at
// the same time, but for progress beside a preview; progress that does not rise; anything of an
// image after its image; anything beside or after OnFinished.
class RecordingListener : public GenerationListener {
 public:
  struct Shown {
    int image_index = 0;
    int steps_done = 0;
    double timestep = 0;
    PreviewContent kind = PreviewContent::kNone;
    Frame frame;
  };

  // `hook` is called with each line of log() from within the listener's call.
  explicit RecordingListener(std::function<void(const std::string&)> hook = nullptr)
      : hook_(std::move(hook)) {}

  void OnProgress(const StepProgress& progress) override;
  void OnPreview(int image_index, int steps_done, double timestep, PreviewContent kind,
                 Frame frame) override;
  void OnImage(int image_index, Frame frame) override;
  void OnPreviewsDropped(int count) override;
  void OnFinished(absl::Status status, GenerationTimings timings) override;

  // Waits for OnFinished and returns its status.
  absl::Status AwaitFinished() const ABSL_LOCKS_EXCLUDED(mu_);

  // Waits until log() has this line.
  void AwaitLine(const std::string& line) const ABSL_LOCKS_EXCLUDED(mu_);
  void AwaitPreviewsDropped(int count) const ABSL_LOCKS_EXCLUDED(mu_);

  // "progress 0 1/4", "preview 0 1 x_t", "image 0", "finished OK", in order of the calls.
  std::vector<std::string> log() const ABSL_LOCKS_EXCLUDED(mu_);
  // Of them, those for one image.
  std::vector<std::string> log_of(int image_index) const ABSL_LOCKS_EXCLUDED(mu_);
  std::vector<Shown> previews() const ABSL_LOCKS_EXCLUDED(mu_);
  std::map<int, Frame> images() const ABSL_LOCKS_EXCLUDED(mu_);
  int previews_dropped() const ABSL_LOCKS_EXCLUDED(mu_);
  int finished_calls() const ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status status() const ABSL_LOCKS_EXCLUDED(mu_);  // UNKNOWN before OnFinished.
  GenerationTimings timings() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  enum class Call { kProgress, kPreview, kImage, kFinished };
  // Around each call: finds those that must not be.
  class Visit;
  void Write(std::string line) ABSL_LOCKS_EXCLUDED(mu_);

  const std::function<void(const std::string&)> hook_;
  mutable absl::Mutex mu_;
  std::set<std::pair<int, Call>> running_ ABSL_GUARDED_BY(mu_);  // Calls, by image.
  std::vector<std::string> log_ ABSL_GUARDED_BY(mu_);
  std::vector<Shown> previews_ ABSL_GUARDED_BY(mu_);
  std::map<int, Frame> images_ ABSL_GUARDED_BY(mu_);
  std::map<int, int> steps_done_ ABSL_GUARDED_BY(mu_);  // By image.
  int previews_dropped_ ABSL_GUARDED_BY(mu_) = 0;
  int finished_calls_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mu_) = absl::UnknownError("not finished");
  GenerationTimings timings_ ABSL_GUARDED_BY(mu_);
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_RECORDING_LISTENER_H_
