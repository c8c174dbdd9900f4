// What the simulation itself knows of one request that was asked: what it must have been told.
#ifndef DIFFUSIOND_TESTS_SIMULATION_ORDER_H_
#define DIFFUSIOND_TESTS_SIMULATION_ORDER_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/engine/generation.h"
#include "tests/simulation/dice.h"
#include "tests/simulation/world.h"

namespace diffusiond {

// A step of an image that devices failed so often in a row ends its request.
inline constexpr int kMaxAttempts = 3;

// One image of it.
struct OrderedImage {
  int next_row = 0;               // That should be run now, or is being run.
  std::vector<absl::Time> at_it;  // When steps of it began that have not ended, which may hang.
  bool begun = false;
  absl::Time begun_at = absl::InfiniteFuture();
  bool is_late = false;  // Row next_row - 1 was done by a step past the watchdog: it may not count.
  absl::Time waits_since = absl::InfinitePast();
  int failures = 0;  // Of devices, since a row was done, and no fewer than the engine counts.
  absl::Time drawn_at = absl::InfiniteFuture();

  int told_steps = 0;
  int due_preview = 0;  // Step of the newest when time moved on last.
  std::pair<int, PreviewContent> told_preview = {0, PreviewContent::kNone};  // Step and kind.
  bool in_progress = false, in_frame = false;  // Calls of the listener that have not returned.
  bool told = false;

  // Devices that are at it, but may have been given up.
  int hanging(absl::Time now, absl::Duration watchdog) const {
    return static_cast<int>(std::count_if(
        at_it.begin(), at_it.end(), [&](absl::Time began) { return now - began > watchdog; }));
  }
};

struct Order {
  const World::Request* asked = nullptr;
  uint64_t seed = 0;  // Of its own: the order's number.
  std::string model;  // The engine's name of it.
  int version = 0;    // Which weights.
  GenerationId id = 0;
  absl::Time submitted;
  // Of its model, that were seen when it was asked, and when it was admitted.
  int64_t batches_before = 0, batches_at_admission = 0;
  absl::Time deadline = absl::InfiniteFuture();

  bool answered = false;  // Admitted or refused.
  bool admitted = false;
  int64_t steps_before = 0;                       // Steps that had ended when it was asked.
  bool is_promised = false;                       // Its deadline: the pace was known.
  bool cancelling = false;                        // Its client's Cancel was called.
  absl::Time cancelled = absl::InfiniteFuture();  // That Cancel has returned.
  absl::Time all_end = absl::InfiniteFuture();    // The server ends whatever is left then.
  bool bad = false;                               // A row was not finite.
  bool maybe_bad = false;                         // The same, in a step that may not count.
  std::optional<absl::Status> told;               // Of its end.
  absl::Time told_at = absl::InfiniteFuture();
  int previews_told = 0, previews_dropped = 0;
  std::vector<OrderedImage> images;

  int rows() const { return asked->steps * asked->rows_a_step; }
  bool EndsStep(int row) const { return (row + 1) % asked->rows_a_step == 0; }
  bool PreviewDue(int row) const {
    const int step = (row + 1) / asked->rows_a_step;
    return asked->preview_every > 0 && EndsStep(row) && row + 1 < rows() &&
           step % asked->preview_every == 0;
  }
  bool Drawn(const OrderedImage& image) const { return image.next_row == rows(); }
  // Whether something has happened that may have ended it before its time.
  bool Troubled(absl::Time now, absl::Duration watchdog) const {
    return cancelling || bad || maybe_bad || deadline <= now || all_end <= now ||
           std::any_of(images.begin(), images.end(), [&](const OrderedImage& image) {
             return image.failures + image.hanging(now, watchdog) >= kMaxAttempts;
           });
  }
  bool AllDrawn() const {
    return std::all_of(images.begin(), images.end(),
                       [this](const OrderedImage& image) { return Drawn(image); });
  }
  bool InCall() const {
    for (const OrderedImage& image : images) {
      if (image.in_progress || image.in_frame) return true;
    }
    return false;
  }

  // What the registers of an image hold before a row, if it is drawn alone and by one version: a
  // number that depends on all rows before it.
  uint64_t Register(int image, int row) const {
    uint64_t value = Mix(seed * 1024 + static_cast<uint64_t>(image));
    for (int i = 0; i < row; ++i) value = After(value, i, version);
    return value;
  }
  static uint64_t After(uint64_t before, int row, int version) {
    return Mix(before ^ Mix(static_cast<uint64_t>(row) * 65536 + static_cast<uint64_t>(version)));
  }
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SIMULATION_ORDER_H_
