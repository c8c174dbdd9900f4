// Threads that turn frames into image files, away from the threads that drive the device.
#ifndef DIFFUSIOND_SERVER_IMAGING_ENCODER_POOL_H_
#define DIFFUSIOND_SERVER_IMAGING_ENCODER_POOL_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "model/imaging/image.h"
#include "server/imaging/frame_encoder.h"

namespace diffusiond {

// Thread-safe. Scheduling never blocks: a preview is dropped when too many wait, an image never is
// (the engine's admission bounds how many there can be).
class EncoderPool {
 public:
  static constexpr int kMaxThreads = 256;

  struct Options {
    // Threads that encode, 1 .. kMaxThreads.
    int threads = 2;
    // Previews waiting for a thread, over all lanes; a preview that would pass it is dropped.
    // 0: previews are always dropped.
    int max_queued_previews = 64;
    // Tests hand in an encoder that they can hold.
    std::function<absl::StatusOr<EncodedFrame>(const Frame&, const EncodeOptions&)> encode =
        EncodeFrame;
    std::function<absl::Time()> now = absl::Now;
  };

  struct Result {
    absl::StatusOr<EncodedFrame> encoded;
    absl::Duration duration;  // Time spent encoding, without waiting.
  };

  // Runs on an encoder thread, once, unless the job was abandoned or the pool was destroyed; must
  // not block.
  using Callback = std::function<void(Result)>;

  // The jobs of one image. They run one at a time in the order they were scheduled, callbacks
  // included, so that nothing of an image can overtake anything else of it.
  class Lane;

  // INVALID_ARGUMENT names the option, its value and its range.
  static absl::StatusOr<std::unique_ptr<EncoderPool>> Create(Options options);

  // Jobs that still wait are dropped without their callback; those running are waited for.
  ~EncoderPool();

  std::shared_ptr<Lane> NewLane();

  // Takes the place of the preview of the same slot that waits in this lane, if one does: an older
  // picture of the same thing is worth nothing then. True if a preview was lost by this, that one
  // or (when too many wait) this one; its callback is not called.
  bool SchedulePreview(const std::shared_ptr<Lane>& lane, int slot, Frame frame,
                       EncodeOptions options, Callback done);

  void ScheduleImage(const std::shared_ptr<Lane>& lane, Frame frame, EncodeOptions options,
                     Callback done);

  // Drops what waits in a lane, without callbacks: nobody wants it any more.
  void Abandon(const std::shared_ptr<Lane>& lane);

 private:
  struct Job {
    Frame frame;
    EncodeOptions options;
    Callback done;
    std::optional<int> slot;  // Of a preview.
  };

  explicit EncoderPool(Options options);

  void Schedule(const std::shared_ptr<Lane>& lane, Job job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EncodeUntilStopped();

  const Options options_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  int queued_previews_ ABSL_GUARDED_BY(mu_) = 0;
  // Lanes that have a job and none running, first come first served.
  std::deque<std::shared_ptr<Lane>> ready_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> threads_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_IMAGING_ENCODER_POOL_H_
