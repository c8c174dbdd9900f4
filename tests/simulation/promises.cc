#include "tests/simulation/promises.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/refusal.h"

namespace diffusiond {

namespace {

// When a step that runs ends, admission knows on the average only. So much it plans for longer work
// beyond what that takes.
constexpr int kPromisedRows = 5;
// An idle server admits by the fastest step it has seen, as a try, after so long without one.
constexpr absl::Duration kPaceHolds = absl::Seconds(10);
constexpr absl::Duration kNobodyAges = absl::Hours(1);

// Whether the pace is known once a step was seen, and nothing comes that admission could not know
// of: then deadlines that it promised are kept.
bool IsPunctual(const World& world) {
  if (world.devices + world.lone_workers != 1 || world.models.size() != 1 ||
      world.models[0].pass != absl::ZeroDuration() || !world.faults.empty() ||
      !world.changes.empty() || world.ageing < kNobodyAges ||
      world.max_resident < world.max_trajectories || world.drain != absl::InfiniteDuration()) {
    return false;
  }
  if (world.requests.empty()) return false;
  const World::Request& first = world.requests.front();
  return std::all_of(world.requests.begin(), world.requests.end(),
                     [&first](const World::Request& request) {
                       return request.address == first.address && request.tenant == first.tenant &&
                              request.priority == first.priority && request.guided == 1;
                     });
}

}  // namespace

Promises::Promises(const World& world, Fibers* fibers, std::FILE* log)
    : world_(world),
      fibers_(fibers),
      log_(log),
      began_(fibers->Now()),
      shares_(world),
      is_punctual_(IsPunctual(world)) {
  devices_.resize(static_cast<size_t>(world.devices + world.lone_workers));
}

void Promises::Check(bool kept, const char* promise, const std::string& what) {
  if (kept) return;
  broken_ = absl::StrCat(promise, ": ", what);
  fibers_->Stop();
}

void Promises::Write(const std::string& line) {
  std::fprintf(log_, "%12s  [%s] %s\n", absl::FormatDuration(fibers_->Now() - began_).c_str(),
               fibers_->name().c_str(), line.c_str());
}

void Promises::Trace(uint64_t a, uint64_t b, uint64_t c) {
  fibers_->Trace(Mix(a) + 3 * Mix(b) + 5 * Mix(c) +
                 static_cast<uint64_t>(absl::ToUnixNanos(fibers_->Now())));
}

std::string Promises::Name(const Order& order, int image) const {
  std::string name = absl::StrCat("request ", order.asked - world_.requests.data());
  if (image >= 0) absl::StrAppend(&name, " image ", image);
  return name;
}

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
  order.images.resize(static_cast<size_t>(request.count));
  return order;
}

void Promises::Admitted(Order& order, GenerationId id) {
  Trace(1, order.seed, id);
  Log(Name(order), " is admitted, to ", order.model);
  order.id = id;
  for (OrderedImage& image : order.images) image.waits_since = order.submitted;
  order.batches_at_admission = shares_.batches(order.model);
  const bool tried = steps_ == steps_ended_ && order.submitted - last_end_ > kPaceHolds;
  order.is_promised =
      is_punctual_ && !tried && order.steps_before > 1 && order.rows() >= kPromisedRows;
  order.admitted = true;
  if (!order.told.has_value()) ++open_;
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
      Check(RefusalReasonOf(status).has_value() && retry.has_value() &&
                *retry >= absl::Milliseconds(10) && *retry <= absl::Minutes(1),
            "refusal", what);
      Check(RefusalReasonOf(status) != RefusalReason::kDeadline ||
                order.deadline != absl::InfiniteFuture(),
            "refusal", what);
      if (RefusalReasonOf(status) == RefusalReason::kQueueFull) CheckFull(order);
      return;
    }
    case absl::StatusCode::kDeadlineExceeded:
      return Check(order.deadline != absl::InfiniteFuture(), "refusal", what);
    case absl::StatusCode::kInvalidArgument:
      return Check(order.asked->count > world_.max_trajectories, "refusal", what);
    case absl::StatusCode::kUnavailable:
      return Check(ending_, "refusal", what);
    default:
      Check(false, "refusal", what);
  }
}

void Promises::Cancelled(Order& order) {
  Trace(3, order.seed, 0);
  Log(Name(order), " is cancelled");
  order.cancelled = std::min(order.cancelled, fibers_->Now());
  for (const OrderedImage& image : order.images) {
    if (!image.at_it.empty()) Sometimes("a cancel comes while a row is being done");
    if (image.in_frame) Sometimes("a cancel comes while a frame is being encoded");
  }
}

void Promises::EndAll() {
  Log("the end");
  ending_ = true;
  ending_since_ = std::min(ending_since_, fibers_->Now());
  if (open_ > 0) Sometimes("the server is told to end while work is left");
  for (Order& order : orders_) order.cancelling = true;
}

// Images that are certainly neither drawn nor ended are at most as many as the queue has places;
// and those of an address, if it had some already, at most so many times what they leave free.
void Promises::CheckPlaces(const Order& newest) {
  int held = 0, of_address = 0, of_others = 0;
  bool is_alone = true;
  for (const Order& order : orders_) {
    if (!Lives(order)) continue;
    const auto left = std::count_if(order.images.begin(), order.images.end(),
                                    [&](const OrderedImage& image) { return !order.Drawn(image); });
    held += static_cast<int>(left);
    // Who of two that ask at the same moment was first, only the engine knows.
    is_alone = is_alone && (&order == &newest || order.submitted < newest.submitted);
    if (order.asked->address != newest.asked->address) continue;
    of_address += static_cast<int>(left);
    if (&order != &newest) of_others += static_cast<int>(left);
  }
  Check(held <= world_.max_trajectories, "places",
        absl::StrCat(held, " images are queued, allowed: ", world_.max_trajectories));
  if (held == world_.max_trajectories) Sometimes("the queue is full to the last place");
  if (world_.queue_share >= 1 || of_others == 0 || !is_alone) return;
  const auto times = [](double share) { return share / (1 - share); };
  double most = (world_.max_trajectories - held) * times(world_.queue_share);
  // What class HIGH leaves is what it may still have, of which each of its addresses has a part.
  if (newest.asked->priority == Priority::kHigh) {
    if (world_.high_share >= 1) return;
    most *= std::max(1.0, times(world_.high_share));
  }
  Check(of_address <= most + 1e-6, "an address leaves places to others",
        absl::StrCat(of_address, " images are of ", Name(newest), "'s address, allowed: ", most));
}

// Images that may be queued are more than the queue has places.
void Promises::CheckFull(const Order& refused) {
  int held = refused.asked->count;
  for (const Order& order : orders_) {
    if (&order == &refused || (order.answered && !order.admitted)) continue;
    if (order.told.has_value()) continue;
    held += static_cast<int>(std::count_if(order.images.begin(), order.images.end(),
                                           [](const OrderedImage& image) { return !image.told; }));
  }
  Check(held > world_.max_trajectories, "a full queue is full",
        absl::StrCat(Name(refused), " would be ", held, " of ", world_.max_trajectories));
}

void Promises::Swapped(const std::string& before, const std::string& now) {
  Log(now, " is served in place of ", before.empty() ? "nothing" : before);
  if (ending_) Sometimes("a swap after the server is told to end");
  for (const Order& order : orders_) {
    if (order.model == before && Lives(order)) Sometimes("a swap while a request is drawn");
    if (order.model == now && Lives(order)) Sometimes("a version comes back while it drains");
  }
}

void Promises::NoteLoss() {
  if (std::exchange(last_loss_, fibers_->Now()) == fibers_->Now()) {
    Sometimes("two workers are lost at once");
  }
  if (devices_.size() > 1 && !AnyWorker()) Sometimes("no worker is left of several");
}

// Its first step may have begun by now.
void Promises::Up(int device) {
  Log("device ", device, " is up");
  devices_[static_cast<size_t>(device)].up = true;
}

void Promises::Down(int device) {
  Log("device ", device, " is down");
  if (devices_[static_cast<size_t>(device)].up) {
    devices_[static_cast<size_t>(device)] = {};
    NoteLoss();
  }
}

bool Promises::AnyWorker() const {
  return std::any_of(devices_.begin(), devices_.end(), [](const Device& it) { return it.up; });
}

bool Promises::AnyIdle() const {
  return std::any_of(devices_.begin(), devices_.end(),
                     [](const Device& it) { return it.up && it.step == 0; });
}

std::string Promises::Over(int registers_alive, int executors_alive) const {
  for (const Order& order : orders_) {
    if (order.admitted && !order.told.has_value()) {
      return absl::StrCat("one end: ", Name(order), " was never told of it");
    }
  }
  if (registers_alive != 0) return absl::StrCat("registers: ", registers_alive, " are left");
  if (executors_alive != 0) return absl::StrCat("executors: ", executors_alive, " are left");
  return "";
}

}  // namespace diffusiond
