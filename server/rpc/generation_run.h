// One accepted request between the engine and the client: frames in, events out.
#ifndef DIFFUSIOND_SERVER_RPC_GENERATION_RUN_H_
#define DIFFUSIOND_SERVER_RPC_GENERATION_RUN_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/engine/generation.h"
#include "server/imaging/frame_encoder.h"
#include "server/rpc/event_queue.h"
#include "server/rpc/stream_event.h"

namespace diffusiond {

// What was done for a generation, and when.
struct GenerationTimeline {
  struct Step {
    int image_index = 0;
    int steps_done = 0;
    int batch_images = 0;
    absl::Time start;
    absl::Duration duration;
  };
  struct Encoding {
    int image_index = 0;
    absl::Time start;
    absl::Duration duration;
  };

  absl::Time accepted;
  std::optional<GenerationTimings> engine = {};  // Once the engine has ended it.
  absl::Duration encode = {};                    // Of all frames.
  std::vector<Step> steps = {};                  // By Options::every_steps.
  std::vector<Encoding> encodings = {};          // Of images, beside steps.
};

// Hears the engine, encodes frames on the engine's frame threads, and keeps what the client has not
// taken yet. Knows neither gRPC nor the API: what writes to the client takes events with Next when
// it can, and is woken when there may be more. Thread-safe.
class GenerationRun : public GenerationListener {
 public:
  using Encode = std::function<absl::StatusOr<EncodedFrame>(const Frame&, const EncodeOptions&)>;

  struct Options {
    int images = 1;
    EncodeOptions image;
    EncodeOptions preview;
    // What the engine needs while it is at the generation, as its model: let go as it ends, however
    // slow the client is.
    std::shared_ptr<const void> hold;
    // What events need until they are taken: let go with the run.
    std::shared_ptr<const void> answer;
    Encode encode = EncodeFrame;
    // There may be something new from Next or outcome(). Called from any thread, also at the same
    // time, with no lock held; must not block.
    std::function<void()> wake;
    // So many previews will never come from Next; as `wake`.
    std::function<void(int)> on_previews_dropped;
    std::function<absl::Time()> now = absl::Now;
    // An image's progress is an event at most once in so long; of its last step always. Infinite:
    // never.
    absl::Duration progress_interval = absl::ZeroDuration();
    // The timeline has each n-th step of an image, and the encoding of images; 0: neither.
    int every_steps = 0;
  };
  // Steps, and as many encodings, that a timeline has at most.
  static constexpr size_t kMaxTimeline = 256;

  // Accepted is the first event.
  explicit GenerationRun(Options options);

  // The client's side. The next event to send; nullopt: nothing waits now.
  std::optional<StreamEvent> Next();
  // Set once, with or after the last event, by the engine or by an image that cannot be encoded:
  // then the engine does not know yet. Events that wait may still be taken.
  std::optional<absl::Status> outcome() const;
  GenerationTimeline timeline() const;
  // Nobody will take anything any more: what waits is dropped, what comes is not even encoded.
  void Close();

  // GenerationListener:
  void OnProgress(const StepProgress& progress) override;
  void OnPreview(int image_index, int steps_done, double timestep, PreviewContent kind,
                 Frame frame) override;
  void OnPreviewsDropped(int count) override;
  void OnImage(int image_index, Frame frame) override;
  void OnFinished(absl::Status status, GenerationTimings timings) override;

 private:
  // Nobody wants to know more.
  bool over() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return closed_ || outcome_.has_value(); }
  bool IsOver() const ABSL_LOCKS_EXCLUDED(mu_);
  bool IsToldOf(const StepProgress& progress) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // `image_index` of what goes into the timeline.
  absl::StatusOr<EncodedFrame> Timed(const Frame& frame, const EncodeOptions& encode,
                                     std::optional<int> image_index) ABSL_LOCKS_EXCLUDED(mu_);

  Options options_;  // Fixed; without `hold`.
  mutable absl::Mutex mu_;
  std::shared_ptr<const void> hold_ ABSL_GUARDED_BY(mu_);  // Until OnFinished.
  EventQueue events_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Status> outcome_ ABSL_GUARDED_BY(mu_);
  GenerationTimeline timeline_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> sha256_ ABSL_GUARDED_BY(mu_);        // By image.
  std::vector<absl::Time> progress_told_ ABSL_GUARDED_BY(mu_);  // By image.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_GENERATION_RUN_H_
