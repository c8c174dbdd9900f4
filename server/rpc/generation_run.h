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
    Encode encode = EncodeFrame;
    // There may be something new from Next or outcome(). Called from any thread, also at the same
    // time, with no lock held; must not block.
    std::function<void()> wake;
    // So many previews will never come from Next; as `wake`.
    std::function<void(int)> on_previews_dropped;
    std::function<absl::Time()> now = absl::Now;
  };

  // Accepted is the first event.
  explicit GenerationRun(Options options);

  // The client's side. The next event to send; nullopt: nothing waits now.
  std::optional<StreamEvent> Next();
  // Set once, with or after the last event, by the engine or by an image that cannot be encoded:
  // then the engine does not know yet. Events that wait may still be taken.
  std::optional<absl::Status> outcome() const;
  // Nobody will take anything any more: what waits is dropped, what comes is not even encoded.
  void Close();

  // GenerationListener:
  void OnProgress(int image_index, int steps_done, int steps_total) override;
  void OnPreview(int image_index, int steps_done, double timestep, PreviewContent kind,
                 Frame frame) override;
  void OnPreviewsDropped(int count) override;
  void OnImage(int image_index, Frame frame) override;
  void OnFinished(absl::Status status, GenerationTimings timings) override;

 private:
  // Nobody wants to know more.
  bool over() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return closed_ || outcome_.has_value(); }
  bool IsOver() const ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<EncodedFrame> Timed(const Frame& frame, const EncodeOptions& encode)
      ABSL_LOCKS_EXCLUDED(mu_);

  Options options_;  // Fixed; without `hold`.
  const absl::Time accepted_;

  mutable absl::Mutex mu_;
  std::shared_ptr<const void> hold_ ABSL_GUARDED_BY(mu_);  // Until OnFinished.
  EventQueue events_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Status> outcome_ ABSL_GUARDED_BY(mu_);
  absl::Duration encode_time_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> sha256_ ABSL_GUARDED_BY(mu_);  // By image.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_GENERATION_RUN_H_
