#include "tests/simulation/promises.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace diffusiond {

namespace {

constexpr absl::Duration kNobodyAges = absl::Hours(1);

// Whether the pace is known once a step was seen, and nothing comes that admission could not know
// of: then deadlines that it promised are kept.
bool IsPunctual(const World& world) {
  if (world.devices + world.lone_workers != 1 || world.models.size() != 1 ||
      world.models[0].pass != absl::ZeroDuration() || !world.faults.empty() ||
      !world.changes.empty() || world.ageing < kNobodyAges ||
      world.max_resident < 2 * world.max_trajectories || world.drain != absl::InfiniteDuration()) {
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

// Whether steps take as long as others of their size, wherever they are done.
bool IsSteady(const World& world) {
  return world.models.size() == 1 && world.faults.empty() && world.changes.empty();
}

}  // namespace

Promises::Promises(const World& world, Fibers* fibers, std::FILE* log)
    : world_(world),
      fibers_(fibers),
      log_(log),
      began_(fibers->Now()),
      shares_(world),
      is_punctual_(IsPunctual(world)),
      is_steady_(IsSteady(world)),
      resident_limit_(world.max_resident),
      highest_limit_(world.max_resident) {
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

void Promises::Cancelled(Order& order) {
  Trace(3, order.seed, 0);
  Log(Name(order), " is cancelled");
  order.cancelled = std::min(order.cancelled, fibers_->Now());
  for (const OrderedImage& image : order.images) {
    if (!image.at_it.empty()) Sometimes("a cancel comes while a row is being done");
    if (image.in_frame) Sometimes("a cancel comes while a frame is being encoded");
  }
}

void Promises::EndAllAt(absl::Time until) {
  Log("the end, of all that is left in ", absl::FormatDuration(until - fibers_->Now()));
  ending_since_ = std::min(ending_since_, fibers_->Now());
  all_end_ = std::min(all_end_, until);
  if (open_ > 0) Sometimes("the server is told to end while work is left");
  for (Order& order : orders_) order.all_end = all_end_;
}

void Promises::Swapped(const std::string& before, const std::string& now) {
  Log(now, " is served in place of ", before.empty() ? "nothing" : before);
  if (ending()) Sometimes("a swap after the server is told to end");
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
  devices_[static_cast<size_t>(device)] = {};
}

void Promises::Lost(int device) {
  // A worker that failed was lost when its step did, one that cannot be built was not there.
  const bool was_up = devices_[static_cast<size_t>(device)].up;
  Down(device);
  if (was_up) NoteLoss();
}

bool Promises::AnyWorker() const {
  return std::any_of(devices_.begin(), devices_.end(), [](const Device& it) { return it.up; });
}

bool Promises::AnyIdle() const {
  return std::any_of(devices_.begin(), devices_.end(),
                     [](const Device& it) { return it.is_idle(); });
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
