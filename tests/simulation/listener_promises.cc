// What Promises holds the engine to in what it tells.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/simulation/promises.h"

namespace diffusiond {
namespace {

constexpr int kParts = 4;
constexpr int kBits = 16;

}  // namespace

// Floats carry 16 bits exactly.
Frame FrameOf(uint64_t value) {
  Frame frame{1, 2, 2, {}};
  for (int i = 0; i < kParts; ++i) {
    frame.values.push_back(static_cast<float>(value >> (kBits * i) & 0xFFFF));
  }
  return frame;
}

void Promises::Progress(Order& order, int index, int steps_done, int steps_total) {
  OrderedImage& image = order.images[static_cast<size_t>(index)];
  const std::string what = absl::StrCat(Name(order, index), " is told of step ", steps_done, " of ",
                                        steps_total, " after ", image.told_steps);
  Log(what);
  Trace(20, order.seed * 64 + static_cast<uint64_t>(index), static_cast<uint64_t>(steps_done));
  Check(!order.told.has_value(), "nothing after the end", what);
  Check(!image.told && !image.in_progress && steps_done > image.told_steps &&
            steps_total == order.asked->steps,
        "progress in order", what);
  Check(steps_done <= image.next_row / order.asked->rows_a_step, "progress of what is done", what);
  image.told_steps = steps_done;
}

void Promises::PreviewBegins(Order& order, int index, int steps_done, PreviewContent kind,
                             const Frame& frame) {
  OrderedImage& image = order.images[static_cast<size_t>(index)];
  const std::string what =
      absl::StrCat(Name(order, index), " preview ", static_cast<int>(kind), " of step ", steps_done,
                   " after one of step ", image.told_preview.first, " of kind ",
                   static_cast<int>(image.told_preview.second), ", progress ", image.told_steps);
  Log(what);
  Trace(21, order.seed * 64 + static_cast<uint64_t>(index), static_cast<uint64_t>(steps_done));
  Check(!order.told.has_value(), "nothing after the end", what);
  Check(!image.told && !image.in_frame, "frames in order", what);
  Check(image.told_preview.first <= steps_done && image.told_preview != std::pair(steps_done, kind),
        "previews in order", what);
  Check(steps_done <= image.told_steps, "no frame before its progress", what);
  const int row = steps_done * order.asked->rows_a_step;
  Check(
      order.PreviewDue(row - 1) &&
          frame.values ==
              FrameOf(order.Register(index, row) + (kind == PreviewContent::kX0Hat ? 1 : 0)).values,
      "the preview's pixels", what);
  Check(steps_done >= image.due_preview, "no older preview than the newest",
        absl::StrCat(what, ", newest ", image.due_preview));
  image.told_preview = {steps_done, kind};
  image.in_frame = true;
  ++order.previews_told;
  ++frame_calls_;
}

void Promises::ImageBegins(Order& order, int index, const Frame& frame) {
  OrderedImage& image = order.images[static_cast<size_t>(index)];
  const std::string what = absl::StrCat(Name(order, index), " comes, progress ", image.told_steps);
  Log(what);
  Trace(22, order.seed * 64 + static_cast<uint64_t>(index), 0);
  Check(!order.told.has_value(), "nothing after the end", what);
  Check(!image.told, "an image comes once", what);
  Check(!image.in_frame, "frames in order", what);
  // Of what has ended, progress is worth nothing any more.
  Check(order.Drawn(image) && (image.told_steps == order.asked->steps || Troubled(order)),
        "no frame before its progress", what);
  Check(frame.values == FrameOf(order.Register(index, order.rows())).values, "the image's pixels",
        what);
  Check(
      image.drawn_at < order.deadline && image.drawn_at <= std::min(order.cancelled, order.all_end),
      "no late image", what);
  if (order.is_promised) Sometimes("a promised deadline is kept");
  if (order.deadline - image.drawn_at < absl::Milliseconds(1)) {
    Sometimes("a deadline is met by less than a millisecond");
  }
  if (order.cancelled <= fibers_->Now()) {
    Sometimes("a cancel comes between the last step and the encoder");
  }
  image.told = true;
  image.in_frame = true;
  ++frame_calls_;
}

void Promises::FrameEnds(Order& order, int index) {
  OrderedImage& image = order.images[static_cast<size_t>(index)];
  Check(!order.told.has_value(), "nothing after the end", Name(order, index));
  image.in_frame = false;
  --frame_calls_;
}

void Promises::PreviewsDropped(Order& order, int count) {
  Check(!order.told.has_value(), "nothing after the end", Name(order));
  order.previews_dropped += count;
  // As many as may have come since time moved on last.
  int at_once = 0;
  for (const World::Model& model : world_.models) at_once = std::max(at_once, model.capacity);
  at_once *= 2 * static_cast<int>(devices_.size());
  Check(previews_waiting_ != 0 || at_once > world_.max_waiting_previews,
        "no preview is dropped without need", Name(order));
  Sometimes("a preview is dropped");
}

// Whether what happened to the request gives reason to end it so.
void Promises::CheckEnd(const Order& order, const absl::Status& status) {
  const std::string what = absl::StrCat(Name(order), " ends with ", status.ToString());
  int failures = 0;
  bool all_told = true;
  absl::Time last_drawn = absl::InfinitePast();
  for (const OrderedImage& image : order.images) {
    failures = std::max(failures, image.failures + image.hanging(fibers_->Now(), world_.watchdog));
    all_told = all_told && image.told;
    last_drawn = std::max(last_drawn, image.drawn_at);
  }
  switch (status.code()) {
    case absl::StatusCode::kOk: {
      if (last_drawn > ending_since_) {
        Sometimes("what is left is drawn after the server is told to end");
      }
      Check(all_told, "every image before the end", what);
      int due = 0;
      for (int row = 0; row < order.rows(); ++row) due += order.PreviewDue(row) ? 1 : 0;
      const int kinds = order.asked->preview == PreviewContent::kBoth ? 2 : 1;
      return Check(order.previews_told + order.previews_dropped ==
                       due * kinds * static_cast<int>(order.images.size()),
                   "previews are told or counted as dropped",
                   absl::StrCat(what, ", previews told: ", order.previews_told,
                                ", dropped: ", order.previews_dropped));
    }
    case absl::StatusCode::kCancelled:
      return Check(order.cancelling, "a reason for the end", what);
    case absl::StatusCode::kDeadlineExceeded:
      Check(!order.is_promised, "a promised deadline is kept", what);
      return Check(order.deadline <= fibers_->Now(), "a reason for the end", what);
    case absl::StatusCode::kInternal:
      if (!order.bad && !order.maybe_bad) {
        Sometimes("an image's step fails three times in a row");
      }
      return Check(order.bad || order.maybe_bad || failures >= kMaxAttempts, "a reason for the end",
                   what);
    case absl::StatusCode::kUnavailable:
      return Check(order.all_end <= fibers_->Now(), "a reason for the end", what);
    default:
      Check(false, "a reason for the end", what);
  }
}

void Promises::Finished(Order& order, const absl::Status& status) {
  Log(Name(order), " ends with ", status.ToString());
  Trace(23, order.seed, static_cast<uint64_t>(status.code()));
  Check(!order.told.has_value(), "one end", Name(order));
  Check(!order.InCall(), "the end is the last call", Name(order));
  CheckEnd(order, status);
  ++ends_;
  order.told = status;
  order.told_at = fibers_->Now();
  if (order.admitted) --open_;
}

}  // namespace diffusiond
