// What Promises holds the engine to where workers take and bring steps.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/simulation/promises.h"

namespace diffusiond {

// A row goes to a worker once, after the one before it, with what that one left; and only while
// somebody wants it.
void Promises::CheckTask(const StepTask& task, const std::string& model) {
  const absl::Time now = fibers_->Now();
  Order& order = Of(task);
  OrderedImage& image = order.images[task.spec->image_index];
  const int row = task.plan_row;
  const std::string what = absl::StrCat(Name(order, static_cast<int>(task.spec->image_index)),
                                        " row ", row, " after ", image.next_row, " rows");
  if (image.is_late && row == image.next_row - 1) {
    Sometimes("a row is done again after a worker was given up");
    image.next_row = row;
  }
  Check(row == image.next_row && row < order.rows(), "rows in order", what);
  Check(model == order.model, "one version",
        absl::StrCat(what, ", asked of ", order.model, ", is run by ", model));
  const auto* before = static_cast<const SimulatedRegisters*>(task.before.get());
  Check((row == 0) == (before == nullptr), "registers handed on", what);
  if (before != nullptr) {
    Check(before->seed == order.seed && before->image == static_cast<int>(task.spec->image_index) &&
              before->row == row,
          "registers handed on", what);
  }
  Check(now < order.deadline, "late work is dropped", what);
  Check(now <= order.cancelled && now <= order.told_at, "ended work is dropped", what);
  const bool last = row + 1 == order.rows(), due = order.PreviewDue(row);
  const PreviewContent content = order.asked->preview;
  const auto shows = [&](PreviewContent kind) {
    return due && (content == kind || content == PreviewContent::kBoth);
  };
  Check(task.want_x_t == (last || shows(PreviewContent::kXt)) &&
            task.want_x0_hat == shows(PreviewContent::kX0Hat),
        "frames wanted", what);
}

Promises::Step Promises::StepBegins(int device, const std::string& model, int capacity,
                                    absl::Span<const StepTask> tasks) {
  Step step = {.device = device, .number = ++steps_, .began = fibers_->Now()};
  devices_[static_cast<size_t>(device)].step = step.number;
  devices_[static_cast<size_t>(device)].began = step.began;
  const std::string unfair = shares_.Take(model, capacity, tasks, orders_, fibers_->Now());
  Check(unfair.empty(), "shares", unfair);
  if (tasks.front().plan_row != tasks.back().plan_row) Sometimes("a batch holds different rows");
  for (const StepTask& task : tasks) {
    Trace(4 + static_cast<uint64_t>(device), task.spec->seed * 64 + task.spec->image_index,
          static_cast<uint64_t>(task.plan_row));
    step.passes += NetworkPasses(task);
    Log("device ", device, " step ", steps_, " of ", model, ": ",
        Name(Of(task), static_cast<int>(task.spec->image_index)), " row ", task.plan_row);
    CheckTask(task, model);
    Order& order = Of(task);
    OrderedImage& image = order.images[task.spec->image_index];
    Check(image.hanging(fibers_->Now(), world_.watchdog) == static_cast<int>(image.at_it.size()),
          "one worker at a time", Name(order, static_cast<int>(task.spec->image_index)));
    if (!image.at_it.empty()) Sometimes("a worker that was given up is at a row beside another");
    image.at_it.push_back(fibers_->Now());
    if (!std::exchange(image.begun, true)) image.begun_at = step.began;
    if (order.asked->priority != Priority::kHigh &&
        fibers_->Now() - order.submitted >= world_.ageing) {
      Sometimes("a request has moved up a class");
    }
  }
  Check(step.passes >= 1 && step.passes <= capacity, "capacity",
        absl::StrCat(step.passes, " network passes in one batch, allowed: ", capacity));
  CheckResidents(model);
  CheckBegunOfAddresses(model, capacity, tasks);
  return step;
}

void Promises::StepEnds(const Step& step, absl::Span<const StepTask> tasks, StepEnd end) {
  const bool advanced = end == StepEnd::kAdvanced;
  Device& device = devices_[static_cast<size_t>(step.device)];
  if (device.step == step.number) {
    device.step = 0;
    // A supervised worker that fails takes no more work, until it is built again.
    if (!advanced && step.device < world_.devices) {
      device.up = false;
      NoteLoss();
    }
  }
  ++steps_ended_;
  alike_steps_ = std::exchange(last_passes_, step.passes) == step.passes ? alike_steps_ + 1 : 1;
  last_end_ = fibers_->Now();
  loads_.insert(Pace::LoadOf(static_cast<int64_t>(tasks.size())));
  Log("device ", step.device, " step ", step.number, advanced ? " ends" : " fails");
  const bool late = fibers_->Now() - step.began > world_.watchdog;
  if (end == StepEnd::kNoMemory && !late) no_memory_ = true;
  for (const StepTask& task : tasks) {
    Order& order = Of(task);
    OrderedImage& image = order.images[task.spec->image_index];
    image.at_it.erase(std::find(image.at_it.begin(), image.at_it.end(), step.began));
    image.waits_since = fibers_->Now();
    if (late) ++image.failures;
    // What another worker has done meanwhile counts.
    if (late && image.next_row != task.plan_row) continue;
    if (!advanced) {
      ++image.failures;
      continue;
    }
    if (!task.status.ok()) {
      (late ? order.maybe_bad : order.bad) = true;
      if (tasks.size() > 1) Sometimes("a row is not finite beside others that are");
      continue;
    }
    image.next_row = task.plan_row + 1;
    if (!late) image.failures = 0;
    image.is_late = late;
    if (order.Drawn(image)) image.drawn_at = fibers_->Now();
  }
}

}  // namespace diffusiond
