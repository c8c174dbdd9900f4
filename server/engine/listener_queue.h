// One generation's events, in order, delivered by one thread at a time.
#ifndef DIFFUSIOND_SERVER_ENGINE_LISTENER_QUEUE_H_
#define DIFFUSIOND_SERVER_ENGINE_LISTENER_QUEUE_H_

#include <memory>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/engine/generation.h"

namespace diffusiond {

// Two workers may finish rows of one generation at the same moment, and a listener may call Cancel
// from within a call. Events are therefore pushed where their order is decided (under the engine's
// lock) and delivered where nothing is held; whoever finds a delivery going on leaves the rest to
// it. Thread-safe.
class ListenerQueue {
 public:
  struct Progress {
    int image_index = 0;
    int steps_done = 0;
    int steps_total = 0;
  };
  struct Preview {
    int image_index = 0;
    int steps_done = 0;
    double timestep = 0;
    PreviewContent kind = PreviewContent::kNone;
    Frame frame;
  };
  struct FinalImage {
    int image_index = 0;
    Frame frame;
  };
  struct Finished {
    absl::Status status;
    GenerationTimings timings;
  };
  using Event = std::variant<Progress, Preview, FinalImage, Finished>;

  explicit ListenerQueue(std::shared_ptr<GenerationListener> listener);

  // Never calls the listener. Nothing may follow Finished.
  void Push(Event event);

  // Calls the listener with what is queued, unless another thread (or a caller further up this
  // stack) is at it. Must be called with no lock held. True if this call delivered Finished; the
  // listener is released then.
  bool Deliver();

 private:
  absl::Mutex mu_;
  std::vector<Event> events_ ABSL_GUARDED_BY(mu_);
  bool delivering_ ABSL_GUARDED_BY(mu_) = false;
  // Touched only by the thread that delivers.
  std::shared_ptr<GenerationListener> listener_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_LISTENER_QUEUE_H_
