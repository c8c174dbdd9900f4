// The last part of StepScheduler: what becomes of tasks that come back.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/step_scheduler.h"

namespace diffusiond {
namespace {

// A trajectory whose step failed on its device this many times in a row ends its generation.
constexpr int kMaxStepAttempts = 3;

// After so many without one that was out of memory, an eighth more images may be in progress.
constexpr int kGoodBatches = 256;

bool Shows(PreviewContent content, PreviewContent kind) {
  return content == kind || content == PreviewContent::kBoth;
}

// Whether a preview is due once this trajectory's next row is done.
bool PreviewDue(const Trajectory& trajectory) {
  const int every = trajectory.generation->spec.preview_every_steps;
  return every > 0 && !trajectory.on_last_row() && trajectory.plan_row().ends_step &&
         (trajectory.steps_done + 1) % every == 0;
}

}  // namespace

StepTask StepScheduler::BeginStep(Trajectory& trajectory) const {
  const PreviewContent content =
      PreviewDue(trajectory) ? trajectory.generation->spec.preview_content : PreviewContent::kNone;
  StepTask task;
  task.spec = trajectory.spec;
  task.plan_row = trajectory.next_row;
  task.want_x_t = trajectory.on_last_row() || Shows(content, PreviewContent::kXt);
  task.want_x0_hat = Shows(content, PreviewContent::kX0Hat);
  task.before = trajectory.registers;
  return task;
}

bool StepScheduler::Settle(StepBatch& batch, const absl::Status& status, absl::Time now,
                           Effects& effects) {
  // A worker that was given up still brings what it was doing: its trajectories went to others long
  // ago, and may have come back from them.
  if (!workers_.Return(batch)) return false;
  // Before the tasks: an image that comes too late is late.
  ExpireDue(now, effects);
  Model& model = models_.at(batch.model);
  if (status.ok()) {
    // What the engine cost between two steps counts too: predictions are of time that passes.
    int passes = 0;
    for (const StepTask& task : batch.tasks) passes += NetworkPasses(task);
    model.meter.Add(now, now - batch.started + batch.overhead, passes, batch.capacity);
    RaiseResidents(model);
  } else if (absl::IsResourceExhausted(status)) {
    LowerResidents(model, batch.micro_batch);
  }
  for (size_t i = 0; i < batch.tasks.size(); ++i) {
    Trajectory& trajectory = *batch.owners[i];
    if (trajectory.generation->ended) {
      DropLate(model, trajectory, effects);
    } else if (!status.ok()) {
      SettleFailure(model, batch.owners[i], status, now, effects);
    } else {
      SettleStep(model, batch, trajectory, batch.tasks[i], now, effects);
    }
  }
  NoteReturned(batch.model);  // Last: it may forget the model.
  return true;
}

// Half of those in progress. The shape of a network call stays, for the bytes depend on it: fewer
// than it carries would spare nothing.
void StepScheduler::LowerResidents(Model& model, int micro_batch) const {
  const int most = std::min(model.resident_limit, model.resident);
  model.resident_limit = std::min(model.resident_limit, std::max({1, most / 2, micro_batch}));
  model.good_batches = 0;
}

// Who took the memory may have given it back. Little by little, so that a device that is too small
// fails now and then, which costs steps and no image.
void StepScheduler::RaiseResidents(Model& model) const {
  const int full = limits_.max_resident_trajectories;
  if (model.resident_limit >= full || ++model.good_batches < kGoodBatches) return;
  model.resident_limit =
      std::min(full, model.resident_limit + std::max(1, model.resident_limit / 8));
  model.good_batches = 0;
}

void StepScheduler::AbandonWorker(WorkerId id, const absl::Status& reason, absl::Time now,
                                  Effects& effects) {
  const WorkerTable::InHand in_hand = workers_.Abandon(id);
  if (in_hand.model.empty()) return;
  for (const std::shared_ptr<Trajectory>& trajectory : in_hand.trajectories) {
    Model& model = models_.at(in_hand.model);
    if (trajectory->generation->ended) {
      DropLate(model, *trajectory, effects);
    } else {
      SettleFailure(model, trajectory, reason, now, effects);
    }
  }
  NoteReturned(in_hand.model);
}

void StepScheduler::SettleFailure(Model& model, const std::shared_ptr<Trajectory>& trajectory,
                                  const absl::Status& status, absl::Time now, Effects& effects) {
  if (++trajectory->failed_attempts < kMaxStepAttempts) {
    trajectory->state = Trajectory::State::kWaiting;
    trajectory->waits_since = model.full_turns;
    // Not to the policy: in flight, as it sees it, so that nobody else is chosen in its place.
    model.retry_alone.push_back(trajectory);
    return;
  }
  const std::shared_ptr<Generation> generation = generations_.at(trajectory->generation->id);
  Finish(generation,
         absl::InternalError(absl::StrCat("model ", generation->spec.model, ", seed ",
                                          trajectory->spec->seed, ": a step failed ",
                                          kMaxStepAttempts, " times in a row: ", status.message())),
         now, effects);
  Drop(model, *trajectory, effects);
}

void StepScheduler::SettleStep(Model& model, const StepBatch& batch, Trajectory& trajectory,
                               StepTask& task, absl::Time now, Effects& effects) {
  const std::shared_ptr<Generation> generation = generations_.at(trajectory.generation->id);
  const bool last = trajectory.on_last_row();
  if (task.status.ok() && last && !task.x_t.has_value()) {
    task.status = absl::InternalError("the executor returned no image for a plan's last row");
  }
  // Its own numbers are bad, on any device: no second try, and its neighbours go on.
  if (!task.status.ok()) {
    Finish(generation,
           absl::InternalError(
               absl::StrCat("model ", generation->spec.model, ": ", task.status.message())),
           now, effects);
    Drop(model, trajectory, effects);
    return;
  }

  // Before the trajectory moves on: what is told is told of the row that was run.
  TellOfStep(batch, trajectory, task, now, effects);
  trajectory.failed_attempts = 0;
  effects.dropped.push_back(std::exchange(trajectory.registers, std::move(task.after)));
  trajectory.extra_left -= NetworkPasses(trajectory.spec->guidance, trajectory.plan_row()) - 1;
  ++trajectory.next_row;
  if (!last) {
    trajectory.state = Trajectory::State::kWaiting;
    trajectory.waits_since = model.full_turns;
    model.policy->PutBack(generation->id, trajectory.for_policy());
    return;
  }
  // Its place in the queue is free at once, though others of its request are still drawn.
  model.policy->Retire(generation->id, trajectory.image_index);
  Drop(model, trajectory, effects);
  places_.Release(generation->spec, 1);
  if (--generation->images_left == 0) Finish(generation, absl::OkStatus(), now, effects);
}

void StepScheduler::TellOfStep(const StepBatch& batch, Trajectory& trajectory, StepTask& task,
                               absl::Time now, Effects& effects) const {
  const PlanRow& plan_row = trajectory.plan_row();
  const GenerationId id = trajectory.generation->id;
  const int image = trajectory.image_index;
  if (plan_row.ends_step) {
    ++trajectory.steps_done;
    effects.events.push_back(
        {id, EngineEvent::Progress{.image_index = image,
                                   .steps_done = trajectory.steps_done,
                                   .steps_total = trajectory.spec->plan->steps,
                                   .batch_started = batch.started,
                                   .batch_duration = now - batch.started,
                                   .batch_images = static_cast<int>(batch.tasks.size())}});
  }
  if (trajectory.on_last_row()) {
    effects.events.push_back({id, EngineEvent::FinalImage{image, *std::move(task.x_t)}});
    return;
  }
  const auto show = [&](PreviewContent kind, Frame frame) {
    effects.events.push_back(
        {id, EngineEvent::Preview{image, trajectory.steps_done, plan_row.next_timestep, kind,
                                  std::move(frame)}});
  };
  if (task.want_x_t && task.x_t.has_value()) show(PreviewContent::kXt, *std::move(task.x_t));
  if (task.want_x0_hat && task.x0_hat.has_value()) {
    show(PreviewContent::kX0Hat, *std::move(task.x0_hat));
  }
}

void StepScheduler::Drop(Model& model, Trajectory& trajectory, Effects& effects) {
  trajectory.state = Trajectory::State::kDone;
  if (trajectory.resident) {
    trajectory.resident = false;
    --model.resident;
  }
  if (trajectory.registers != nullptr) {
    effects.dropped.push_back(std::move(trajectory.registers));
  }
}

// Steps until its place was free, which is what a client's cancel costs the others: the batch that
// it was in, and those that were chosen meanwhile.
void StepScheduler::DropLate(Model& model, Trajectory& trajectory, Effects& effects) {
  effects.counts.release_delays.push_back(model.batches - trajectory.generation->ended_batch + 1);
  Drop(model, trajectory, effects);
}

void StepScheduler::Finish(std::shared_ptr<Generation> generation, const absl::Status& status,
                           absl::Time now, Effects& effects) {
  // The end is the last event of a generation: nothing may be told of what is still running.
  generation->ended = true;
  places_.Release(generation->spec, generation->images_left);
  generations_.erase(generation->id);
  deadlines_.erase({generation->spec.deadline, generation->id});
  Model& model = models_.at(generation->spec.model);
  model.policy->Remove(generation->id);
  generation->ended_batch = model.batches;
  for (Trajectory& trajectory : generation->trajectories) {
    // Running ones are a worker's; they are dropped when they come back.
    if (trajectory.state != Trajectory::State::kWaiting) continue;
    if (!trajectory.resident) --waiting_trajectories_;
    effects.counts.release_delays.push_back(0);
    Drop(model, trajectory, effects);
  }

  const absl::Time begun = generation->first_step.value_or(now);
  effects.events.push_back(
      {generation->id,
       EngineEvent::Finished{status,
                             {.queue = begun - generation->submitted, .compute = now - begun}}});
  effects.counts.finished.push_back(
      {.status = status,
       .had_deadline = generation->spec.deadline != absl::InfiniteFuture(),
       .duration = now - generation->submitted,
       .predicted = generation->predicted});
  // Workers may hold its trajectories; the last holder frees it, outside the lock.
  effects.dropped.push_back(std::move(generation));
}

}  // namespace diffusiond
