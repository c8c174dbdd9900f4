// What seeds draw. Rates are drawn too: quiet worlds, busy ones, and some in which nothing works.
#include <algorithm>
#include <cmath>

#include "tests/simulation/dice.h"
#include "tests/simulation/world.h"

namespace diffusiond {
namespace {

using Fault = World::Fault;
using Change = World::Change;

absl::Duration Between(Dice& dice, absl::Duration low, absl::Duration high) {
  return low + dice.Part() * (high - low);
}

// Most often few, at times many.
int Few(Dice& dice, int most) {
  return std::min(most, 1 + static_cast<int>(-std::log(1 - dice.Part()) * most / 5));
}

void DrawMachine(Dice& dice, World& world) {
  world.preempt = dice.Of<double>({0, 0, 0.02, 0.2, 0.6});
  world.spurious = dice.Of<double>({0, 0, 0.05});
  world.devices = dice.Int(0, 3);
  world.lone_workers = dice.Chance(0.5) ? 0 : dice.Int(1, 2);
  if (world.devices + world.lone_workers == 0) world.devices = 1;
  const int models = dice.Of<int>({1, 1, 2, 3});
  for (int i = 0; i < models; ++i) {
    World::Model& model = world.models.emplace_back();
    model.micro_batch = dice.Of<int>({1, 1, 2, 3, 4});
    // As PlanStepExecutor has it: a guided trajectory always fits.
    const int least = std::max(3, model.micro_batch * dice.Int(1, 3));
    model.capacity = (least + model.micro_batch - 1) / model.micro_batch * model.micro_batch;
    model.step = Between(dice, absl::Milliseconds(1), absl::Milliseconds(40));
    if (dice.Chance(0.5)) model.pass = Between(dice, absl::ZeroDuration(), absl::Milliseconds(10));
    model.keep = dice.Int(1, 2);
  }
  world.watchdog = Between(dice, absl::Milliseconds(200), absl::Seconds(20));
  world.first_backoff = Between(dice, absl::Milliseconds(1), absl::Milliseconds(500));
  world.longest_backoff = world.first_backoff * dice.Int(1, 16);
  world.max_hangs = dice.Int(1, 4);
}

void DrawLimits(Dice& dice, World& world) {
  world.max_trajectories = dice.Of<int>({1, 2, 4, 8, 16, 32, 64, 64, 256});
  world.max_resident = dice.Of<int>({1, 2, 3, 5, 8, 16, 64});
  world.queue_share = dice.Of<double>({0.01, 0.5, 0.75, 0.75, 1, 1});
  world.high_share = dice.Of<double>({0.01, 0.5, 0.5, 0.75, 1});
  world.frame_threads = dice.Int(1, 3);
  world.max_waiting_previews = dice.Of<int>({0, 1, 4, 64});
  world.ageing = Between(dice, absl::Milliseconds(100), absl::Seconds(30));
  world.patience = dice.Of<int>({0, 1, 8, 8, 50});
}

// How the requests of one world are alike.
struct Habits {
  int addresses = 1, tenants = 1;
  int most_images = 1, most_steps = 1;
  double guided = 0, previews = 0, deadlines = 0, cancels = 0, slow = 0, bad = 0, other_class = 0;
  absl::Duration encode;
};

Habits DrawHabits(Dice& dice) {
  Habits habits;
  habits.addresses = dice.Of<int>({1, 1, 2, 3, 5});
  habits.tenants = dice.Of<int>({1, 1, 2, 4});
  habits.most_images = dice.Of<int>({1, 2, 4, 8, 16});
  habits.most_steps = dice.Of<int>({1, 4, 12, 40});
  for (double* rate : {&habits.guided, &habits.previews, &habits.deadlines, &habits.cancels,
                       &habits.slow, &habits.other_class}) {
    *rate = dice.Of<double>({0, 0, 0.1, 0.5, 0.9});
  }
  habits.bad = dice.Of<double>({0, 0, 0, 0.05, 0.5});
  if (dice.Chance(0.5)) {
    habits.encode = Between(dice, absl::ZeroDuration(),
                            dice.Chance(0.2) ? absl::Seconds(2) : absl::Milliseconds(30));
  }
  return habits;
}

// What the client looks at, and how.
void DrawClient(Dice& dice, const Habits& habits, World::Request& request) {
  if (dice.Chance(habits.previews)) {
    request.preview_every = dice.Int(1, 3);
    request.preview = dice.Of<PreviewContent>(
        {PreviewContent::kXt, PreviewContent::kX0Hat, PreviewContent::kBoth});
  }
  request.encode = habits.encode;
  if (dice.Chance(habits.slow)) {
    request.read = dice.Chance(0.2) ? absl::InfiniteDuration()
                                    : Between(dice, absl::ZeroDuration(), absl::Milliseconds(300));
  }
  if (dice.Chance(0.05)) {
    // Reads about as fast as previews come, of which each takes another's place.
    request.preview_every = 1;
    request.preview = PreviewContent::kBoth;
    request.read = Between(dice, absl::Milliseconds(10), absl::Milliseconds(150));
  }
  if (dice.Chance(habits.bad)) {
    if (dice.Chance(0.7)) {
      request.bad_row = dice.Int(0, request.steps * request.rows_a_step - 1);
    } else {
      request.bad_encoding = dice.Int(0, request.count - 1);
    }
  }
}

World::Request DrawRequest(Dice& dice, const Habits& habits, const World& world) {
  World::Request request;
  request.model = dice.Int(0, static_cast<int>(world.models.size()) - 1);
  request.address = dice.Int(0, habits.addresses - 1);
  request.tenant = dice.Int(0, habits.tenants - 1);
  if (dice.Chance(habits.other_class)) request.priority = static_cast<Priority>(dice.Int(0, 2));
  request.count = Few(dice, habits.most_images);
  if (dice.Chance(0.01)) request.count = world.max_trajectories + 1;
  request.steps = Few(dice, habits.most_steps);
  request.rows_a_step = dice.Chance(0.2) ? 2 : 1;
  if (dice.Chance(habits.guided)) {
    request.guided = dice.Int(2, 3);
    request.guided_from = dice.Int(0, request.steps - 1);
    request.guided_to = dice.Int(request.guided_from, request.steps - 1);
  }
  const World::Model& model = world.models[static_cast<size_t>(request.model)];
  const absl::Duration alone =
      request.steps * request.rows_a_step * (model.step + model.capacity * model.pass);
  if (dice.Chance(habits.deadlines)) request.deadline = dice.Double(0.2, 8) * alone;
  if (dice.Chance(0.4)) request.retries = dice.Int(1, 3);
  if (dice.Chance(habits.cancels)) request.cancel = dice.Double(0, 2) * alone;
  DrawClient(dice, habits, request);
  return request;
}

// Requests that come at a pace of so many times what the machine can do.
void DrawRequests(Dice& dice, World& world) {
  const Habits habits = DrawHabits(dice);
  const double load = dice.Of<double>({0.2, 0.8, 1.5, 5, 1000});
  const int count = dice.Of<int>({1, 3, 10, 30, 60, 150});
  absl::Duration at;
  for (int i = 0; i < count; ++i) {
    World::Request request = DrawRequest(dice, habits, world);
    request.at = at;
    const World::Model& model = world.models[static_cast<size_t>(request.model)];
    const double batches = static_cast<double>(request.count) * request.steps *
                           request.rows_a_step / model.capacity /
                           (world.devices + world.lone_workers);
    at += -std::log(1 - dice.Part()) / load * batches * (model.step + model.capacity * model.pass);
    world.requests.push_back(std::move(request));
  }
  for (int tenant = 0; tenant < habits.tenants; ++tenant) {
    if (dice.Chance(0.3)) world.weights[tenant] = dice.Of<double>({0.1, 0.5, 2, 3, 10});
  }
}

void DrawFaults(Dice& dice, World& world) {
  const double rate = dice.Of<double>({0, 0, 0.003, 0.03, 0.3, 0.9});
  if (rate == 0) return;
  const int devices = world.devices + world.lone_workers;
  const int steps = dice.Of<int>({10, 50, 200});
  const auto kinds = [&]() -> std::vector<Fault::Kind> {
    std::vector<Fault::Kind> kinds;
    for (int i = 0; i < 3; ++i) kinds.push_back(static_cast<Fault::Kind>(dice.Int(0, 5)));
    return kinds;
  }();
  for (int device = 0; device < devices; ++device) {
    if (dice.Chance(0.2)) continue;
    for (int at = 0; at < steps; ++at) {
      if (!dice.Chance(rate)) continue;
      Fault& fault = world.faults.emplace_back();
      fault.device = device;
      fault.at = at;
      fault.kind = dice.Of(kinds);
      // A server whose devices are not there does not start.
      if (fault.kind == Fault::Kind::kUnbuilt) fault.at = std::max(1, fault.at / 4);
      if (fault.kind != Fault::Kind::kSlow) continue;
      fault.longer = dice.Double(0, 3) * world.watchdog;
      if (dice.Chance(0.1)) fault.longer = absl::Hours(24);
    }
  }
}

void DrawEnd(Dice& dice, World& world) {
  if (!dice.Chance(0.3)) return;
  const absl::Duration last = world.requests.back().at;
  world.drain = dice.Double(0, 1.2) * last;
  if (dice.Chance(0.7))
    world.drain_patience = Between(dice, absl::ZeroDuration(), absl::Seconds(2));
}

void DrawChanges(Dice& dice, World& world) {
  // Lone workers know the first versions only.
  if (world.lone_workers > 0 || dice.Chance(0.6)) return;
  const absl::Duration last = world.requests.back().at + absl::Milliseconds(100);
  const int count = dice.Int(1, 10);
  for (int i = 0; i < count; ++i) {
    Change& change = world.changes.emplace_back();
    change.at = dice.Double(0, 1.5) * last;
    change.model = dice.Int(0, static_cast<int>(world.models.size()) - 1);
    change.kind =
        dice.Chance(0.4) ? Change::Kind::kPublish : static_cast<Change::Kind>(dice.Int(0, 8));
    change.version = dice.Int(0, 5);
  }
  std::sort(world.changes.begin(), world.changes.end(),
            [](const Change& a, const Change& b) { return a.at < b.at; });
}

// A world in which nothing but the rule decides who is next (Shares).
void MakeFair(Dice& dice, World& world) {
  world.faults.clear();
  world.max_trajectories = 1024;
  world.max_resident = 4096;
  world.queue_share = 1;
  if (world.high_share == 1) world.high_share = 0.5;
  const bool at_once = dice.Chance(0.7);
  for (World::Request& request : world.requests) {
    if (at_once) request.at = absl::ZeroDuration();
    request.deadline = absl::InfiniteDuration();
    request.guided = 1;
    request.bad_row = -1;
  }
  if (dice.Chance(0.5)) world.weights.clear();
  if (dice.Chance(0.3)) world.ageing = Between(dice, absl::Milliseconds(50), absl::Seconds(1));
  if (dice.Chance(0.8)) return;
  // A long request, and short ones that fill each batch and keep coming.
  world.patience = dice.Int(1, 2);
  world.devices = 1;
  world.lone_workers = 0;
  world.changes.clear();
  world.models.resize(1);
  absl::Duration at;
  for (World::Request& request : world.requests) {
    request.model = request.address = request.tenant = 0;
    request.priority = Priority::kNormal;
    request.cancel = absl::InfiniteDuration();
    request.count = at == absl::ZeroDuration() ? 1 : world.models[0].capacity;
    request.steps = at == absl::ZeroDuration() ? dice.Int(6, 12) : 1;
    request.rows_a_step = 1;
    request.at = at;
    at += world.models[0].step;
  }
}

// One in which admission knows all that comes (Promises).
void MakePunctual(Dice& dice, World& world) {
  world.faults.clear();
  world.changes.clear();
  world.devices = 1;
  world.lone_workers = 0;
  world.models.resize(1);
  world.models[0].pass = absl::ZeroDuration();
  world.drain = absl::InfiniteDuration();
  // What has moved up to HIGH gets no more than its share, which admission does not foresee.
  world.ageing = absl::Hours(1);
  // Nor that residents keep those out who have not begun, of their own address too, which leaves a
  // part of the places to others.
  world.max_resident = std::max(world.max_resident, 2 * world.max_trajectories);
  for (World::Request& request : world.requests) {
    request.model = request.address = request.tenant = 0;
    request.priority = Priority::kNormal;
    request.guided = 1;  // Passes of which batches are not always full.
    if (!dice.Chance(0.8)) continue;
    request.deadline =
        dice.Double(1, 10) * request.steps * request.rows_a_step * world.models[0].step;
  }
  if (!dice.Chance(0.4)) return;
  // A backlog beside which others have to be in time.
  world.patience = 0;
  World::Request& first = world.requests.front();
  first.count = dice.Int(1, std::min(world.max_trajectories, 48));
  first.steps = std::max(first.steps, 8);
  first.deadline = absl::InfiniteDuration();
  for (World::Request& request : world.requests) {
    if (request.deadline == absl::InfiniteDuration()) continue;
    request.deadline =
        dice.Double(1.3, 3) * request.steps * request.rows_a_step * world.models[0].step;
  }
}

// One in which requests have the machine for themselves, one after the other, and many of them a
// deadline (Promises::TimesAlone).
void MakeQuiet(Dice& dice, World& world) {
  world.faults.clear();
  world.changes.clear();
  world.models.resize(1);
  world.drain = absl::InfiniteDuration();
  World::Model& model = world.models[0];
  // Large requests show how long full batches take, and small ones that come later take less.
  const bool by_size = dice.Chance(0.5);
  const int small = dice.Int(1, std::max(1, model.capacity / 3));
  if (by_size) {
    model.pass = Between(dice, absl::Milliseconds(2), absl::Milliseconds(20));
    world.devices = 1;
    world.lone_workers = 0;
    world.max_resident = std::max(world.max_resident, model.capacity);
  }
  absl::Duration at;
  for (World::Request& request : world.requests) {
    request.model = 0;
    request.guided = 1;
    if (dice.Chance(0.5)) request.count = std::min(request.count, model.capacity);
    if (by_size) request.count = at == absl::ZeroDuration() ? model.capacity : small;
    if (by_size) request.steps = std::max(request.steps, dice.Int(1, 30));
    const int side_by_side = std::min({request.count, model.capacity, world.max_resident});
    const int turns = (request.count + side_by_side - 1) / side_by_side;
    const absl::Duration alone = turns * request.steps * request.rows_a_step *
                                 (model.step + (side_by_side + model.micro_batch) * model.pass);
    request.deadline = dice.Chance(0.5) ? absl::InfiniteDuration() : dice.Double(1.2, 3) * alone;
    request.at = at;
    at += dice.Chance(0.9) ? 2 * alone : dice.Double(0, 20) * absl::Seconds(1);
  }
}

// Brings moments together: much goes wrong only where two things happen at once.
void Align(absl::Duration grid, World& world) {
  const auto align = [grid](absl::Duration& time) {
    if (time != absl::InfiniteDuration()) time = absl::Ceil(time, grid);
  };
  for (absl::Duration* const time : {&world.ageing, &world.watchdog, &world.first_backoff,
                                     &world.longest_backoff, &world.drain, &world.drain_patience}) {
    align(*time);
  }
  for (World::Model& model : world.models) {
    align(model.step);
    align(model.pass);
  }
  for (World::Request& request : world.requests) {
    for (absl::Duration* const time :
         {&request.at, &request.deadline, &request.encode, &request.read, &request.cancel}) {
      align(*time);
    }
  }
  for (World::Fault& fault : world.faults) align(fault.longer);
  for (World::Change& change : world.changes) align(change.at);
}

}  // namespace

World DrawWorld(uint64_t seed) {
  Dice dice(seed);
  World world;
  world.seed = seed;
  DrawMachine(dice, world);
  DrawLimits(dice, world);
  DrawRequests(dice, world);
  DrawFaults(dice, world);
  DrawEnd(dice, world);
  DrawChanges(dice, world);
  if (dice.Chance(0.15)) MakeFair(dice, world);
  if (dice.Chance(0.1)) MakePunctual(dice, world);
  if (dice.Chance(0.5))
    Align(dice.Of<absl::Duration>({absl::Milliseconds(1), absl::Milliseconds(5)}), world);
  if (dice.Chance(0.05)) MakeQuiet(dice, world);
  return world;
}

}  // namespace diffusiond
