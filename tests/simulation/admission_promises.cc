// What Promises holds the engine to where it admits and refuses.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/refusal.h"
#include "tests/simulation/promises.h"

namespace diffusiond {
namespace {

// When a step that runs ends, admission knows on the average only. So much it plans for longer work
// beyond what that takes.
constexpr int kPromisedRows = 5;
// An idle server admits by the fastest step it has seen, as a try, after so long without one.
constexpr absl::Duration kPaceHolds = absl::Seconds(10);
// After so many steps of one size in a row the pace of such steps is known.
constexpr int kStepsForPace = 20;
// An idle server keeps a deadline that is so many times what the request takes.
constexpr double kSurelyMet = 1.5;
// What the engine computes in floating point.
constexpr double kRounding = 1e-6;

}  // namespace

Order& Promises::Ask(const World::Request& request, std::string model, int version) {
  Order& order = orders_.emplace_back();
  order.asked = &request;
  order.seed = orders_.size() - 1;
  order.model = std::move(model);
  order.version = version;
  order.submitted = fibers_->Now();
  order.steps_before = steps_ended_;
  order.batches_before = shares_.batches(order.model);
  order.deadline = order.submitted + request.deadline;
  order.all_end = all_end_;
  order.images.resize(static_cast<size_t>(request.count));
  return order;
}

void Promises::Admitted(Order& order, GenerationId id) {
  Trace(1, order.seed, id);
  Log(Name(order), " is admitted, to ", order.model);
  order.id = id;
  for (OrderedImage& image : order.images) image.waits_since = order.submitted;
  order.batches_at_admission = shares_.batches(order.model);
  // What an idle server tries, or one that may have been idle when it was asked, of which it cannot
  // know that it will be in time.
  const int at_once = std::min(order.asked->count, world_.models[0].capacity);
  const bool is_busy = std::any_of(devices_.begin(), devices_.end(), [&order](const Device& it) {
    return it.step != 0 && it.began < order.submitted;
  });
  const bool tried = !is_busy && (order.submitted - last_end_ > kPaceHolds ||
                                  loads_.count(Pace::LoadOf(at_once)) == 0);
  order.is_promised =
      is_punctual_ && !tried && order.steps_before > 1 && order.rows() >= kPromisedRows;
  order.admitted = true;
  if (!order.told.has_value()) ++open_;
  const double times = TimesAlone(order);
  if (times >= kSurelyMet && times < 2) Sometimes("a near deadline comes to an idle machine");
  Check(order.submitted <= ending_since_, "nobody comes in after the end", Name(order));
  order.answered = true;
  CheckPlaces(order);
}

// A refusal names its reason, and when to come back if it is worth it.
void Promises::Refused(Order& order, const absl::Status& status) {
  Trace(2, order.seed, static_cast<uint64_t>(status.code()));
  Log(Name(order), " is refused: ", status.ToString());
  order.answered = true;
  const std::string what = absl::StrCat(Name(order), " was refused with ", status.ToString());
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted: {
      const std::optional<absl::Duration> retry = RetryAfter(status);
      const std::optional<RefusalReason> reason = RefusalReasonOf(status);
      Check(reason.has_value() && retry.has_value() && *retry >= absl::Milliseconds(10) &&
                *retry <= absl::Minutes(1),
            "refusal", what);
      if (reason == RefusalReason::kDeadline) return CheckRefusedForDeadline(order, what);
      return CheckRefusedForRoom(order, reason == RefusalReason::kQueueFull);
    }
    case absl::StatusCode::kDeadlineExceeded:
      return CheckRefusedForDeadline(order, what);
    case absl::StatusCode::kInvalidArgument:
      return Check(order.asked->count > world_.max_trajectories, "refusal", what);
    case absl::StatusCode::kUnavailable:
      return Check(ending(), "refusal", what);
    default:
      Check(false, "refusal", what);
  }
}

// Who of several that ask at the same moment was first, and whether what ended then had ended
// before, only the engine knows.
Promises::Found Promises::FoundBy(const Order& asking) const {
  Found found;
  const absl::Time now = fibers_->Now();
  for (const Order& order : orders_) {
    if (&order == &asking || (order.answered && !order.admitted)) continue;
    if (std::min(order.told_at, order.cancelled) < now) continue;
    const bool certain = Lives(order) && order.submitted < now;
    Bounds held;
    for (const OrderedImage& image : order.images) {
      if (certain && !order.Drawn(image)) ++held.least;
      if (!order.Drawn(image) || image.is_late || image.drawn_at == now) ++held.most;
    }
    found.all += held;
    if (order.asked->priority == Priority::kHigh) found.high += held;
    if (order.asked->address != asking.asked->address) continue;
    found.address += held;
    if (order.asked->tenant == asking.asked->tenant) found.tenant += held;
  }
  return found;
}

// A share's holder may have so many times what it leaves free of what is free to the holder above;
// one that has nothing may take all of that.
bool Promises::MayBe(bool admitted, const Order& asking) const {
  const Found found = FoundBy(asking);
  const int count = asking.asked->count;
  struct Level {
    Bounds held;
    double share;
  };
  const bool is_high = asking.asked->priority == Priority::kHigh;
  const std::array<Level, 3> levels = {{{is_high ? found.high : Bounds(), world_.high_share},
                                        {found.address, world_.queue_share},
                                        {found.tenant, world_.queue_share}}};
  // Each set of holders that may have had nothing.
  for (size_t none = 0; none < 1 << levels.size(); ++none) {
    // What is refused for its share finds a place.
    double room = world_.max_trajectories - count - found.all.Of(admitted);
    if (!admitted) room = std::max(0.0, room);
    bool fits = room >= 0, possible = true;
    for (size_t i = 0; i < levels.size(); ++i) {
      const auto& [held, share] = levels[i];
      const bool has_none = (none >> i & 1) != 0;
      possible = possible && (has_none ? held.least == 0 : held.most > 0);
      if (has_none || share >= 1) continue;
      room = room * share / (1 - share) - (std::max(1, held.Of(admitted)) + count);
      fits = fits && room >= (admitted ? -kRounding : kRounding);
    }
    if (possible && fits == admitted) return true;
  }
  return false;
}

// Images that are certainly neither drawn nor ended are at most as many as the queue has places;
// and those of a holder, if it had some already, at most so many times what they leave free.
void Promises::CheckPlaces(const Order& newest) {
  int held = 0;
  for (const Order& order : orders_) {
    if (!Lives(order)) continue;
    held += static_cast<int>(
        std::count_if(order.images.begin(), order.images.end(),
                      [&](const OrderedImage& image) { return !order.Drawn(image); }));
  }
  Check(held <= world_.max_trajectories, "places",
        absl::StrCat(held, " images are queued, allowed: ", world_.max_trajectories));
  if (held == world_.max_trajectories) Sometimes("the queue is full to the last place");
  Check(MayBe(true, newest), "a holder leaves places to others", Describe(newest));
}

// Images that may be queued are more than the queue has places, or than those that refuse have.
void Promises::CheckRefusedForRoom(const Order& refused, bool whole_queue) {
  if (whole_queue) {
    return Check(FoundBy(refused).all.most + refused.asked->count > world_.max_trajectories,
                 "a full queue is full", Describe(refused));
  }
  Sometimes("a share is full");
  Check(MayBe(false, refused), "a full share is full", Describe(refused));
}

void Promises::CheckRefusedForDeadline(const Order& refused, const std::string& what) {
  Check(refused.deadline != absl::InfiniteFuture(), "refusal", what);
  const double times = TimesAlone(refused);
  Check(times < kSurelyMet, "an idle machine takes near deadlines",
        absl::StrCat(what, ", ", times, " times what it takes alone"));
}

std::string Promises::Describe(const Order& asking) const {
  const Found found = FoundBy(asking);
  const auto text = [](const Bounds& held) {
    return held.least == held.most ? absl::StrCat(held.most)
                                   : absl::StrCat(held.least, " to ", held.most);
  };
  return absl::StrCat(Name(asking), " wants ", asking.asked->count, " places of ",
                      world_.max_trajectories, ", taken are ", text(found.all), ", by HIGH ",
                      text(found.high), ", its address ", text(found.address), ", its tenant ",
                      text(found.tenant));
}

// How many times what it takes alone a request's deadline is away, where admission must know: its
// steps take as long as the last ones, and nobody else is there. 0: it need not.
double Promises::TimesAlone(const Order& order) const {
  const absl::Time now = fibers_->Now();
  if (!is_steady_ || order.deadline == absl::InfiniteFuture() || order.asked->guided > 1) return 0;
  const bool idle = last_end_ < now && std::all_of(devices_.begin(), devices_.end(),
                                                   [](const Device& it) { return it.is_idle(); });
  const bool is_alone = std::all_of(orders_.begin(), orders_.end(), [&](const Order& other) {
    return &other == &order || (other.answered && !other.admitted) || other.told_at < now;
  });
  if (!idle || !is_alone) return 0;
  const World::Model& model = world_.models.front();
  const int side_by_side = std::min({order.asked->count, model.capacity, world_.max_resident});
  if (model.pass == absl::ZeroDuration()) {
    if (order.steps_before < 2) return 0;
  } else if (alike_steps_ < kStepsForPace || last_passes_ != order.asked->count ||
             side_by_side < order.asked->count || (devices_.size() > 1 && side_by_side > 1)) {
    return 0;
  }
  const int calls = (side_by_side + model.micro_batch - 1) / model.micro_batch;
  const int turns = (order.asked->count + side_by_side - 1) / side_by_side;
  const absl::Duration alone =
      turns * order.rows() * (model.step + calls * model.micro_batch * model.pass);
  return absl::FDivDuration(order.deadline - order.submitted, alone);
}

}  // namespace diffusiond
