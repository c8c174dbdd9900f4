// What happens in one simulation, decided before it begins: plain data, drawn from a seed.
#ifndef DIFFUSIOND_TESTS_SIMULATION_WORLD_H_
#define DIFFUSIOND_TESTS_SIMULATION_WORLD_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/engine/generation.h"
#include "server/engine/scheduling_policy.h"

namespace diffusiond {

// Times are since the beginning; "never" is InfiniteDuration.
struct World {
  // Devices of one kind, each with an executor for every model.
  struct Model {
    int micro_batch = 1;
    int capacity = 2;
    absl::Duration step = absl::Milliseconds(10);  // Of one batch, and of each pass in it.
    absl::Duration pass = absl::ZeroDuration();
    int keep = 1;  // Versions that stay loaded.
  };

  // One client's request, and what the client does then.
  struct Request {
    absl::Duration at;
    int model = 0;
    int address = 0, tenant = 0;
    Priority priority = Priority::kNormal;
    int count = 1;
    int steps = 1;
    int rows_a_step = 1;
    int guided = 1;       // Network passes of rows in guided_from .. guided_to.
    int guided_from = 0;  // Steps.
    int guided_to = 0;
    int preview_every = 0;
    PreviewContent preview = PreviewContent::kNone;
    absl::Duration deadline = absl::InfiniteDuration();  // Since `at`.
    int retries = 0;                                     // When refused, after what it is told.
    absl::Duration encode;                               // Of one frame.
    absl::Duration read;                                 // Between two events; never: reads none.
    absl::Duration cancel = absl::InfiniteDuration();    // Since it was admitted.
    int bad_row = -1;                                    // Of the first image: is not finite.
    int bad_encoding = -1;                               // Image that cannot be encoded.
  };

  // What befalls a device at its n-th step, or at the n-th time that it is built.
  struct Fault {
    enum class Kind {
      kFails,   // With a status.
      kThrows,  // Half way.
      kNoMemory,
      kSlow,     // So much longer, perhaps past the watchdog.
      kLeaves,   // Goes while it is at it, and brings what it has. Workers without supervisor.
      kUnbuilt,  // Cannot be built.
    };
    int device = 0;
    int at = 0;
    Kind kind = Kind::kFails;
    absl::Duration longer;
  };

  // What happens to a model's versions.
  struct Change {
    enum class Kind {
      kPublish,
      kPublishBroken,
      kMend,
      kRollBack,
      kHold,
      kLetGo,
      kPin,
      kUnpin,
      kLook
    };
    absl::Duration at;
    int model = 0;
    Kind kind = Kind::kPublish;
    int version = 0;
  };

  uint64_t seed = 0;
  double preempt = 0, spurious = 0;  // Fibers::Options.

  int devices = 1;       // Under the supervisor; then those without.
  int lone_workers = 0;  // Which speak to the engine themselves, and may come back too late.
  std::vector<Model> models;
  int max_trajectories = 64;
  int max_resident = 16;
  double queue_share = 0.75, high_share = 0.5;
  int frame_threads = 1;
  int max_waiting_previews = 8;
  absl::Duration ageing = absl::Seconds(30);
  int patience = 8;
  std::map<int, double> weights;  // By tenant.
  absl::Duration watchdog = absl::Seconds(10);
  absl::Duration first_backoff = absl::Milliseconds(100);
  absl::Duration longest_backoff = absl::Seconds(2);
  int max_hangs = 3;

  std::vector<Request> requests;
  std::vector<Fault> faults;
  std::vector<Change> changes;
  absl::Duration drain = absl::InfiniteDuration();  // Never: when all is done.
  absl::Duration drain_patience = absl::InfiniteDuration();
};

World DrawWorld(uint64_t seed);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SIMULATION_WORLD_H_
