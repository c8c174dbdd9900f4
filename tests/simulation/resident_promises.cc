// What Promises holds the engine to as to images that have begun, and hold a device's memory.
#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/simulation/promises.h"

namespace diffusiond {
namespace {

// So many times what it leaves free an address may have begun, beyond what the workers carry.
constexpr int kBegunOfFree = 3;

}  // namespace

// Of what was told, drawn or brought back at this moment the engine may not know yet, unless all is
// settled.
Promises::Bounds Promises::Residents(const std::string& model, bool settled,
                                     std::optional<int> address) const {
  const absl::Time now = fibers_->Now();
  const absl::Time known = settled ? absl::InfiniteFuture() : now;
  Bounds residents;
  for (const Order& order : orders_) {
    if (!order.admitted || order.model != model) continue;
    if (order.asked->address != address.value_or(order.asked->address)) continue;
    const bool lives = Lives(order), ended = order.told_at < known;
    for (const OrderedImage& image : order.images) {
      if (!image.begun) continue;
      if (lives && !order.Drawn(image)) ++residents.least;
      const bool drawn = order.Drawn(image) && !image.is_late && image.drawn_at < known;
      const bool is_at_it = !image.at_it.empty() || (!settled && image.waits_since == now);
      if (is_at_it || (!ended && !drawn)) ++residents.most;
    }
  }
  return residents;
}

void Promises::CheckResidents(const std::string& model) {
  const int begun = Residents(model, false).least;
  Check(begun <= world_.max_resident, "residents",
        absl::StrCat(begun, " images have begun, allowed: ", world_.max_resident));
}

// Of an address that begins more than the workers carry, places stay free for others. What it has
// begun the engine counts in classes that double, and for each priority, but apart what it holds to
// be late.
void Promises::CheckBegunOfAddresses(const std::string& model, int capacity,
                                     absl::Span<const StepTask> tasks) {
  const absl::Time now = fibers_->Now();
  using Holder = std::pair<int, Priority>;
  const auto holder_of = [&](const Order& order) -> std::optional<Holder> {
    if (now - order.submitted >= world_.ageing) return std::nullopt;
    if (order.deadline != absl::InfiniteFuture()) return std::nullopt;
    return Holder(order.asked->address, order.asked->priority);
  };
  // What another worker began at this moment was perhaps chosen later.
  std::map<std::optional<Holder>, int> begins, has;
  int residents = 0;
  for (const StepTask& task : tasks) {
    const Order& order = Of(task);
    if (order.images[task.spec->image_index].begun_at < now || !Lives(order)) continue;
    ++begins[holder_of(order)];
  }
  if (begins.empty()) return;
  for (const Order& order : orders_) {
    if (order.model != model || !Lives(order)) continue;
    for (const OrderedImage& image : order.images) {
      if (image.begun_at >= now || order.Drawn(image)) continue;
      ++residents;
      ++has[holder_of(order)];
    }
  }
  const int workers = static_cast<int>(devices_.size());
  const int side_by_side = std::min(workers * capacity, world_.max_resident);
  for (const auto& [holder, count] : begins) {
    if (!holder.has_value()) continue;
    const int before = has[holder] + count - 1;  // When it began its last.
    const int free = world_.max_resident - residents - (count - 1);
    const int counted = static_cast<int>(std::bit_floor(static_cast<unsigned>(before)));
    Check(counted < side_by_side || counted + 1 <= kBegunOfFree * (free - 1),
          "an address leaves residents' places to others",
          absl::StrCat("address ", holder->first, " had begun ", before, ", free were ", free));
  }
}

void Promises::ResidentLimit(int limit) {
  Check(limit >= 1 && limit <= world_.max_resident, "residents",
        absl::StrCat("allowed are ", limit, " of ", world_.max_resident));
  if (limit < resident_limit_) Sometimes("a device without memory is given less");
  if (limit > resident_limit_) Sometimes("a device that was given less is given more");
  resident_limit_ = limit;
  highest_limit_ = std::max(highest_limit_, limit);
}

// What has begun goes on when fewer may, and nothing more begins. Where there are several models,
// or versions of them, each has a limit, and the least is told.
void Promises::CheckResidentLimit() {
  const bool no_memory = std::exchange(no_memory_, false);
  const int highest = std::exchange(highest_limit_, resident_limit_);
  if (!has_one_limit() || orders_.empty()) return;
  const std::string& model = orders_.front().model;
  const Bounds begun = Residents(model, true);
  const int before = std::exchange(residents_, begun.most);
  if (!no_memory) {
    return Check(
        begun.least <= std::max(highest, before), "residents",
        absl::StrCat(begun.least, " images have begun, before ", before, ", allowed: ", highest));
  }
  // Half of them; fewer than a network call carries would spare nothing.
  const int had = Residents(model, false).most;
  Check(resident_limit_ <= std::max({1, had / 2, world_.models.front().micro_batch}),
        "without memory fewer may begin",
        absl::StrCat("allowed: ", resident_limit_, " after ", had, " had begun"));
}

// Whether an image that has not begun certainly may: a place is free, and its address has not begun
// more than the workers carry together, or than its part.
bool Promises::MayBegin(const Order& order) const {
  const int free = resident_limit_ - Residents(order.model, true).most;
  if (free <= 0) return false;
  const int begun = Residents(order.model, true, order.asked->address).most;
  const auto workers = std::count_if(devices_.begin(), devices_.end(),
                                     [](const Device& device) { return device.up; });
  const int capacity = world_.models[static_cast<size_t>(order.asked->model)].capacity;
  return begun < std::min(static_cast<int>(workers) * capacity, resident_limit_) ||
         begun + 1 <= kBegunOfFree * (free - 1);
}

}  // namespace diffusiond
