// The last part of StepScheduler: what becomes of rows that come back.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/step_scheduler.h"

namespace diffusiond {
namespace {

// A trajectory whose step failed on its device this many times in a row ends its generation.
constexpr int kMaxStepAttempts = 3;

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

StepRow StepScheduler::BeginRow(Trajectory& trajectory) const {
  const PreviewContent content =
      PreviewDue(trajectory) ? trajectory.generation->spec.preview_content : PreviewContent::kNone;
  StepRow row;
  row.spec = trajectory.spec;
  row.plan_row = trajectory.next_row;
  row.want_x_t = trajectory.on_last_row() || Shows(content, PreviewContent::kXt);
  row.want_x0_hat = Shows(content, PreviewContent::kX0Hat);
  row.before = trajectory.registers;
  return row;
}

bool StepScheduler::Settle(StepBatch& batch, const absl::Status& status, absl::Time now,
                           Aftermath& aftermath) {
  if (!workers_.Return(batch)) return false;
  // Before the rows: an image that comes too late is late.
  ExpireDue(now, aftermath);
  Model& model = models_.at(batch.model);
  if (status.ok()) {
    int network_rows = 0;
    for (const StepRow& row : batch.rows) network_rows += NetworkRows(row);
    model.meter.Add(now - batch.started + batch.overhead, network_rows, batch.capacity);
  } else if (absl::IsResourceExhausted(status)) {
    // Fewer at a time; the shape of a network call stays, for the bytes depend on it.
    model.resident_limit = std::max(1, std::min(model.resident_limit, model.resident) / 2);
  }
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    Trajectory& trajectory = *batch.owners[i];
    if (trajectory.generation->ended) {
      DropLate(model, trajectory, aftermath);
    } else if (!status.ok()) {
      SettleFailure(model, batch.owners[i], status, now, aftermath);
    } else {
      SettleRow(model, trajectory, batch.rows[i], now, aftermath);
    }
  }
  NoteReturned(batch.model);
  return true;
}

void StepScheduler::AbandonWorker(WorkerId id, const absl::Status& reason, absl::Time now,
                                  Aftermath& aftermath) {
  const WorkerTable::InHand in_hand = workers_.Abandon(id);
  if (in_hand.model.empty()) return;
  for (const std::shared_ptr<Trajectory>& trajectory : in_hand.trajectories) {
    Model& model = models_.at(in_hand.model);
    if (trajectory->generation->ended) {
      DropLate(model, *trajectory, aftermath);
    } else {
      SettleFailure(model, trajectory, reason, now, aftermath);
    }
  }
  NoteReturned(in_hand.model);
}

void StepScheduler::SettleFailure(Model& model, const std::shared_ptr<Trajectory>& trajectory,
                                  const absl::Status& status, absl::Time now,
                                  Aftermath& aftermath) {
  if (++trajectory->failed_attempts < kMaxStepAttempts) {
    trajectory->state = Trajectory::State::kWaiting;
    trajectory->waits_since = model.batches;
    model.suspects.push_back(trajectory);
    return;
  }
  const std::shared_ptr<Generation> generation = generations_.at(trajectory->generation->id);
  Finish(generation,
         absl::InternalError(absl::StrCat("model ", generation->spec.model, ", seed ",
                                          trajectory->spec->seed, ": a step failed ",
                                          kMaxStepAttempts, " times in a row: ", status.message())),
         now, aftermath);
  Drop(model, *trajectory, aftermath);
}

void StepScheduler::SettleRow(Model& model, Trajectory& trajectory, StepRow& row, absl::Time now,
                              Aftermath& aftermath) {
  const std::shared_ptr<Generation> generation = generations_.at(trajectory.generation->id);
  const bool last = trajectory.on_last_row();
  if (row.status.ok() && last && !row.x_t.has_value()) {
    row.status = absl::InternalError("the executor returned no image for a plan's last row");
  }
  if (!row.status.ok()) {
    Finish(generation,
           absl::InternalError(
               absl::StrCat("model ", generation->spec.model, ": ", row.status.message())),
           now, aftermath);
    Drop(model, trajectory, aftermath);
    return;
  }

  TellOfRow(trajectory, row, aftermath);
  trajectory.failed_attempts = 0;
  aftermath.dropped.push_back(std::exchange(trajectory.registers, std::move(row.after)));
  trajectory.extra_left -= NetworkRows(trajectory.spec->guidance, trajectory.plan_row()) - 1;
  ++trajectory.next_row;
  if (!last) {
    trajectory.state = Trajectory::State::kWaiting;
    trajectory.waits_since = model.batches;
    model.policy->PutBack(generation->id, trajectory.policy_row());
    return;
  }
  model.policy->Retire(generation->id, trajectory.image_index);
  Drop(model, trajectory, aftermath);
  places_.Release(generation->spec, 1);
  if (--generation->images_left == 0) Finish(generation, absl::OkStatus(), now, aftermath);
}

void StepScheduler::TellOfRow(Trajectory& trajectory, StepRow& row, Aftermath& aftermath) const {
  const PlanRow& plan_row = trajectory.plan_row();
  const GenerationId id = trajectory.generation->id;
  const int image = trajectory.image_index;
  if (plan_row.ends_step) {
    ++trajectory.steps_done;
    aftermath.events.push_back(
        {id, EngineEvent::Progress{image, trajectory.steps_done, trajectory.spec->plan->steps}});
  }
  if (trajectory.on_last_row()) {
    aftermath.events.push_back({id, EngineEvent::FinalImage{image, *std::move(row.x_t)}});
    return;
  }
  const auto show = [&](PreviewContent kind, Frame frame) {
    aftermath.events.push_back(
        {id, EngineEvent::Preview{image, trajectory.steps_done, plan_row.next_timestep, kind,
                                  std::move(frame)}});
  };
  if (row.want_x_t && row.x_t.has_value()) show(PreviewContent::kXt, *std::move(row.x_t));
  if (row.want_x0_hat && row.x0_hat.has_value()) {
    show(PreviewContent::kX0Hat, *std::move(row.x0_hat));
  }
}

void StepScheduler::Drop(Model& model, Trajectory& trajectory, Aftermath& aftermath) {
  trajectory.state = Trajectory::State::kDone;
  if (trajectory.resident) {
    trajectory.resident = false;
    --model.resident;
  }
  if (trajectory.registers != nullptr) {
    aftermath.dropped.push_back(std::move(trajectory.registers));
  }
}

void StepScheduler::DropLate(Model& model, Trajectory& trajectory, Aftermath& aftermath) {
  aftermath.counts.release_delays.push_back(model.batches - trajectory.generation->ended_batch + 1);
  Drop(model, trajectory, aftermath);
}

void StepScheduler::Finish(std::shared_ptr<Generation> generation, const absl::Status& status,
                           absl::Time now, Aftermath& aftermath) {
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
    aftermath.counts.release_delays.push_back(0);
    Drop(model, trajectory, aftermath);
  }

  const absl::Time begun = generation->first_step.value_or(now);
  aftermath.events.push_back(
      {generation->id,
       EngineEvent::Finished{status,
                             {.queue = begun - generation->submitted, .compute = now - begun}}});
  aftermath.counts.finished.push_back(
      {.status = status,
       .had_deadline = generation->spec.deadline != absl::InfiniteFuture(),
       .duration = now - generation->submitted,
       .predicted = generation->predicted});
  aftermath.dropped.push_back(std::move(generation));
}

}  // namespace diffusiond
