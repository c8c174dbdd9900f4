// What the engine is asked for, and whom it tells.
#ifndef DIFFUSIOND_SERVER_ENGINE_GENERATION_H_
#define DIFFUSIOND_SERVER_ENGINE_GENERATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "model/imaging/image.h"
#include "server/engine/scheduling_policy.h"
#include "server/engine/step_executor.h"

namespace diffusiond {

using GenerationId = uint64_t;

enum class PreviewContent { kNone, kXt, kX0Hat, kBoth };

struct GenerationSpec {
  std::string model;  // Key of the model whose executors run this.
  // From where it came, without a port; all that one says in whose name it asks shares its part of
  // the queue and of the machine. Empty: from this process.
  std::string address;
  std::string tenant;  // On whose behalf; the address's part is shared by tenant.
  Priority priority = Priority::kNormal;
  std::vector<TrajectorySpec> trajectories;
  // A preview after every n-th step of each image, except its last: there the image itself comes.
  // 0: none.
  int preview_every_steps = 0;
  PreviewContent preview_content = PreviewContent::kNone;
  absl::Time deadline = absl::InfiniteFuture();
};

struct GenerationTimings {
  absl::Duration queue;    // Submit to the first step's start; to the end if there was none.
  absl::Duration compute;  // First step's start to the end; zero if there was none.
};

// A step of an image, and the step batch that it was part of.
struct StepProgress {
  int image_index = 0;
  int steps_done = 0;
  int steps_total = 0;
  absl::Time batch_started = absl::InfinitePast();
  absl::Duration batch_duration = {};
  int batch_images = 0;  // Of any requests.
};

// Hears of one generation. Calls come from the engine's own threads (Outbox), never from a worker
// or from a caller of the engine, with no lock held; they may call the engine. `image_index` counts
// GenerationSpec::trajectories.
//
// For one image: OnProgress at each step, OnPreview after its step's OnProgress (x_t before
// x0_hat), OnImage after the last OnProgress; one OnProgress, and one OnPreview or OnImage, at a
// time and in order. Where the listener is slower than the image is drawn, a newer progress or
// preview takes the place of one that waits, also before the x_t of its step. OnProgress beside an
// earlier step's OnPreview, and calls for different images, may come at the same time. OnFinished
// is the last call, after all others have returned, and comes exactly once.
class GenerationListener {
 public:
  virtual ~GenerationListener() = default;
  // Must not block.
  virtual void OnProgress(const StepProgress& progress) = 0;
  // x_t or x0_hat after `steps_done` steps; timestep as PlanRow::next_timestep. May take as long as
  // encoding the frame does.
  virtual void OnPreview(int image_index, int steps_done, double timestep, PreviewContent kind,
                         Frame frame) = 0;
  // So many previews were replaced, or were too many. Beside the calls for any image; must not
  // block.
  virtual void OnPreviewsDropped(int /*count*/) {}
  // May take as long as encoding the frame does.
  virtual void OnImage(int image_index, Frame frame) = 0;
  // OK after every image was delivered. Else CANCELLED or what Cancel was given;
  // DEADLINE_EXCEEDED; INTERNAL: the network or its device failed; UNAVAILABLE: shut down. Must not
  // block.
  virtual void OnFinished(absl::Status status, GenerationTimings timings) = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_GENERATION_H_
