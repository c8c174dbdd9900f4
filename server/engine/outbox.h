// The queue between the engine and those it tells, with the threads that empty it.
#ifndef DIFFUSIOND_SERVER_ENGINE_OUTBOX_H_
#define DIFFUSIOND_SERVER_ENGINE_OUTBOX_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/engine/engine_event.h"
#include "server/engine/generation.h"

namespace diffusiond {

// Events are posted where their order is decided, under the engine's lock, and delivered where
// nothing is held. One thread tells what is told at once (counts, progress, ends); others take
// frames, since a listener may be at one for as long as encoding it takes. So no device waits for a
// listener, and no progress for an encoder.
//
// What waits for one image is a lane: its progress in order, its frames one at a time and in order,
// no frame before the progress of its step. It is short, however slow the listeners: a newer
// progress takes the place of the one that waits, a newer preview that of its kind. Images and ends
// are never dropped. Thread-safe.
class Outbox {
 public:
  static constexpr int kMaxFrameThreads = 256;

  struct Options {
    int frame_threads = 2;  // 1 .. kMaxFrameThreads.
    // Previews that wait for a frame thread, over all lanes; one that would pass it is dropped.
    // 0: previews are always dropped.
    int max_waiting_previews = 64;
    // Called by one thread at a time, before any event that was posted with the counts is
    // delivered, or later. Null: counts are dropped.
    std::function<void(const EngineCounts&)> count;
  };

  explicit Outbox(Options options);
  ~Outbox();  // All generations must have ended. Delivers what is left.

  // Before the first event of a generation. The listener is kept until its OnFinished has returned.
  void Add(GenerationId generation, std::shared_ptr<GenerationListener> listener, int images);

  // Takes what is to be told; calls nobody. Nothing may follow Finished of a generation. The
  // threads need not notice before Wake, which may be called with the caller's locks released.
  void Post(std::vector<EngineEvent> events, EngineCounts counts);
  void Wake() { told_at_once_.Signal(); }

  // Waits until every generation that was added has heard of its end. False: not until `timeout`.
  bool AwaitAllEnded(absl::Duration timeout) const;

  // Waits for a moment at which nothing is left to tell and nobody is being told. Not for listeners
  // to call.
  void AwaitQuiet() const;

 private:
  struct Generation;
  struct Lane {
    Generation* generation = nullptr;
    std::optional<EngineEvent::Progress> progress;
    std::vector<EngineEvent::What> frames;  // Previews, at most one of a kind, then the image.
    bool at_once = false;      // In lanes_, or in the hands of the thread that tells at once.
    bool at_frames = false;    // In frame_lanes_, or in a frame thread's hands.
    bool passed_over = false;  // Its turn for a frame came before its progress was told.
  };
  struct Generation {
    GenerationId id = 0;
    std::shared_ptr<GenerationListener> listener;
    std::vector<Lane> lanes;   // By image.
    int turns = 0;             // Lanes' at_once and at_frames that are set.
    int previews_dropped = 0;  // The listener has not heard of.
    std::optional<EngineEvent::Finished> finished;
    bool noticed = false;  // In notices_.
  };

  void Place(Generation& generation, EngineEvent::What what) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PlacePreview(Generation& generation, Lane& lane, EngineEvent::Preview preview)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Finish(Generation& generation, EngineEvent::Finished finished)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ScheduleAtOnce(Lane& lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // False: it has none, or was scheduled. Wakes no thread.
  bool ScheduleFrames(Lane& lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A turn of a lane is over.
  void EndTurn(Generation& generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Notice(Generation& generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  void TellAtOnceUntilStopped() ABSL_LOCKS_EXCLUDED(mu_);
  void TellFramesUntilStopped() ABSL_LOCKS_EXCLUDED(mu_);
  // Each releases the lock while it calls out.
  void TellCounts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TellNotice() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TellLanes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TellFrame() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Options options_;

  mutable absl::Mutex mu_;
  absl::CondVar told_at_once_;
  absl::CondVar frame_waits_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  int telling_ ABSL_GUARDED_BY(mu_) = 0;  // Threads that call out now.
  std::unordered_map<GenerationId, Generation> generations_ ABSL_GUARDED_BY(mu_);  // Not ended.
  std::vector<EngineCounts> counts_ ABSL_GUARDED_BY(mu_);
  std::deque<Generation*> notices_ ABSL_GUARDED_BY(mu_);  // Of lost previews, or of the end.
  std::vector<Lane*> lanes_ ABSL_GUARDED_BY(mu_);         // For the thread that tells at once.
  std::deque<Lane*> frame_lanes_ ABSL_GUARDED_BY(mu_);    // With a frame in front.
  int waiting_previews_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<Frame> dropped_ ABSL_GUARDED_BY(mu_);  // Freed where no lock is held.
  std::vector<std::thread> threads_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_OUTBOX_H_
