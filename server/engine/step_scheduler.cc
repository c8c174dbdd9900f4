#include "server/engine/step_scheduler.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

// A device that fails a trajectory's step this many times in a row fails its generation.
constexpr int kMaxStepAttempts = 3;

StepPolicy::Row PolicyRow(const Trajectory& trajectory) {
  return {.image_index = trajectory.image_index,
          .rows_left = trajectory.rows_left(),
          .network_rows = NetworkRows(*trajectory.spec),
          .resident = trajectory.resident};
}

absl::Status ValidateSpec(const GenerationSpec& spec, int max_trajectories) {
  const int count = static_cast<int>(spec.trajectories.size());
  if (count < 1 || count > max_trajectories) {
    return absl::InvalidArgumentError(
        absl::StrCat("trajectories: ", count, ", expected 1 to ", max_trajectories));
  }
  if (spec.preview_every_steps < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "preview_every_steps: ", spec.preview_every_steps, ", expected 0 (none) or more"));
  }
  for (int i = 0; i < count; ++i) {
    if (spec.trajectories[i].plan == nullptr || spec.trajectories[i].plan->rows.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("trajectories[", i, "].plan: has no rows"));
    }
  }
  return absl::OkStatus();
}

bool Shows(PreviewContent content, PreviewContent kind) {
  return content == kind || content == PreviewContent::kBoth;
}

// Whether a preview is due once this trajectory's next row is done.
bool PreviewDue(const Trajectory& trajectory) {
  const int every = trajectory.generation->spec.preview_every_steps;
  return every > 0 && !trajectory.on_last_row() &&
         trajectory.spec->plan->rows[trajectory.next_row].ends_step &&
         (trajectory.steps_done + 1) % every == 0;
}

}  // namespace

absl::StatusOr<GenerationId> StepScheduler::Admit(GenerationSpec spec,
                                                  std::shared_ptr<GenerationListener> listener,
                                                  absl::Time now) {
  if (absl::Status status = ValidateSpec(spec, limits_.max_trajectories); !status.ok()) {
    return status;
  }
  if (spec.deadline <= now) {
    return absl::DeadlineExceededError("the deadline passed before the request was queued");
  }
  const int count = static_cast<int>(spec.trajectories.size());
  if (unfinished_trajectories_ + count > limits_.max_trajectories) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the queue is full: ", unfinished_trajectories_, " of ",
                     limits_.max_trajectories, " images are queued, no room for ", count, " more"));
  }

  const GenerationId id = ++last_id_;
  auto generation = std::make_shared<Generation>(id, std::move(spec), std::move(listener), now);
  generation->images_left = count;
  std::vector<StepPolicy::Row> rows;
  for (int i = 0; i < count; ++i) {
    Trajectory& trajectory = generation->trajectories.emplace_back();
    trajectory.generation = generation.get();
    trajectory.spec = &generation->spec.trajectories[i];
    trajectory.image_index = i;
    rows.push_back(PolicyRow(trajectory));
  }
  Model& model = models_[generation->spec.model];
  ++model.generations;
  model.policy.Admit(id, rows);
  unfinished_trajectories_ += count;
  waiting_trajectories_ += count;
  if (generation->spec.deadline != absl::InfiniteFuture()) {
    deadlines_.emplace(generation->spec.deadline, id);
  }
  generations_.emplace(id, std::move(generation));
  return id;
}

void StepScheduler::End(GenerationId id, const absl::Status& reason, absl::Time now,
                        Aftermath& aftermath) {
  const auto found = generations_.find(id);
  if (found != generations_.end()) Finish(found->second, reason, now, aftermath);
}

void StepScheduler::EndAll(const absl::Status& reason, absl::Time now, Aftermath& aftermath) {
  while (!generations_.empty()) Finish(generations_.begin()->second, reason, now, aftermath);
}

void StepScheduler::ExpireDue(absl::Time now, Aftermath& aftermath) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const Generation& generation = *generations_.at(deadlines_.begin()->second);
    const int count = static_cast<int>(generation.trajectories.size());
    End(generation.id,
        absl::DeadlineExceededError(absl::StrCat("the deadline passed with ",
                                                 count - generation.images_left, " of ", count,
                                                 " images drawn")),
        now, aftermath);
  }
}

absl::Time StepScheduler::NextDeadline() const {
  return deadlines_.empty() ? absl::InfiniteFuture() : deadlines_.begin()->first;
}

WorkerId StepScheduler::AddWorker(std::vector<WorkerCapacity> models) {
  for (const WorkerCapacity& capacity : models) ++idle_workers_[capacity.model];
  workers_[++last_worker_].models = std::move(models);
  return last_worker_;
}

void StepScheduler::RemoveWorker(WorkerId id) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  SetIdle(found->second, false);
  workers_.erase(found);
}

void StepScheduler::SetIdle(Worker& worker, bool idle) {
  if (worker.idle == idle) return;
  worker.idle = idle;
  for (const WorkerCapacity& capacity : worker.models) {
    idle_workers_[capacity.model] += idle ? 1 : -1;
  }
}

int StepScheduler::Share(const WorkerCapacity& capacity, const Model& model) const {
  const int idle = std::max(1, idle_workers_.at(capacity.model));
  const int even = (model.policy.waiting_network_rows() + idle - 1) / idle;
  const int micro_batches = (even + capacity.micro_batch - 1) / capacity.micro_batch;
  // A guided trajectory takes two rows, whatever the micro-batch.
  return std::min(capacity.capacity, std::max(2, micro_batches * capacity.micro_batch));
}

std::optional<StepBatch> StepScheduler::Choose(WorkerId id, absl::Time now, Aftermath& aftermath) {
  const auto worker = workers_.find(id);
  if (worker == workers_.end()) return std::nullopt;
  std::vector<std::pair<uint64_t, const WorkerCapacity*>> turns;
  for (const WorkerCapacity& capacity : worker->second.models) {
    const auto found = models_.find(capacity.model);
    if (found != models_.end()) turns.emplace_back(found->second.last_turn, &capacity);
  }
  std::sort(turns.begin(), turns.end());

  for (const auto& [last_turn, capacity] : turns) {
    Model& model = models_.at(capacity->model);
    const std::vector<StepPolicy::Choice> choices = model.policy.Choose(
        Share(*capacity, model), limits_.max_resident_trajectories - model.resident);
    if (choices.empty()) continue;
    model.last_turn = ++turns_;
    SetIdle(worker->second, false);
    StepBatch batch = BeginBatch(*capacity, model, choices, now, aftermath);
    batch.worker = id;
    return batch;
  }
  return std::nullopt;
}

StepBatch StepScheduler::BeginBatch(const WorkerCapacity& capacity, Model& model,
                                    const std::vector<StepPolicy::Choice>& choices, absl::Time now,
                                    Aftermath& aftermath) {
  StepBatch batch;
  batch.model = capacity.model;
  batch.micro_batch = capacity.micro_batch;
  batch.started = now;
  for (const StepPolicy::Choice& choice : choices) {
    const std::shared_ptr<Generation>& generation = generations_.at(choice.generation);
    Trajectory& trajectory = generation->trajectories[choice.image_index];
    if (!generation->first_step.has_value()) {
      generation->first_step = now;
      aftermath.queue_waits.push_back(now - generation->submitted);
    }
    if (!trajectory.resident) {
      trajectory.resident = true;
      ++model.resident;
      --waiting_trajectories_;
    }
    trajectory.state = Trajectory::State::kRunning;
    ++model.trajectories_in_flight;
    batch.rows.push_back(BeginRow(trajectory));
    // Shares the generation's life: it may end while the worker is at it.
    batch.owners.emplace_back(generation, &trajectory);
  }
  return batch;
}

StepRow StepScheduler::BeginRow(Trajectory& trajectory) const {
  const PreviewContent content =
      PreviewDue(trajectory) ? trajectory.generation->spec.preview_content : PreviewContent::kNone;
  StepRow row;
  row.spec = trajectory.spec;
  row.plan_row = trajectory.next_row;
  row.want_x_t = trajectory.on_last_row() || Shows(content, PreviewContent::kXt);
  row.want_x0_hat = Shows(content, PreviewContent::kX0Hat);
  row.registers = &trajectory.registers;
  return row;
}

void StepScheduler::Settle(StepBatch& batch, const absl::Status& status, absl::Time now,
                           Aftermath& aftermath) {
  if (const auto worker = workers_.find(batch.worker); worker != workers_.end()) {
    SetIdle(worker->second, true);
  }
  // Before the rows: an image that comes too late is late.
  ExpireDue(now, aftermath);
  Model& model = models_.at(batch.model);
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    Trajectory& trajectory = *batch.owners[i];
    if (trajectory.generation->ended) {
      Drop(model, trajectory, aftermath);
    } else if (!status.ok()) {
      SettleFailure(model, trajectory, status, now, aftermath);
    } else {
      SettleRow(model, trajectory, batch.rows[i], now, aftermath);
    }
  }
  // Last: rows in flight keep `model` alive above.
  model.trajectories_in_flight -= static_cast<int>(batch.rows.size());
  ForgetIfIdle(batch.model);
}

void StepScheduler::SettleFailure(Model& model, Trajectory& trajectory, const absl::Status& status,
                                  absl::Time now, Aftermath& aftermath) {
  if (++trajectory.failed_attempts < kMaxStepAttempts) {
    PutBack(model, trajectory);
    return;
  }
  End(trajectory.generation->id,
      absl::InternalError(
          absl::StrCat("a step failed ", kMaxStepAttempts, " times in a row: ", status.message())),
      now, aftermath);
  Drop(model, trajectory, aftermath);
}

void StepScheduler::SettleRow(Model& model, Trajectory& trajectory, StepRow& row, absl::Time now,
                              Aftermath& aftermath) {
  const std::shared_ptr<Generation> generation = generations_.at(trajectory.generation->id);
  const bool last = trajectory.on_last_row();
  if (row.status.ok() && last && !row.x_t.has_value()) {
    row.status = absl::InternalError("the executor returned no image for a plan's last row");
  }
  if (!row.status.ok()) {
    Finish(generation, absl::InternalError(row.status.message()), now, aftermath);
    Drop(model, trajectory, aftermath);
    return;
  }

  QueueEvents(trajectory, row);
  aftermath.to_deliver.push_back(generation);
  trajectory.failed_attempts = 0;
  ++trajectory.next_row;
  if (!last) {
    PutBack(model, trajectory);
    return;
  }
  model.policy.Retire(generation->id);
  Drop(model, trajectory, aftermath);
  --unfinished_trajectories_;
  if (--generation->images_left == 0) Finish(generation, absl::OkStatus(), now, aftermath);
}

void StepScheduler::QueueEvents(Trajectory& trajectory, StepRow& row) const {
  const PlanRow& plan_row = trajectory.spec->plan->rows[trajectory.next_row];
  ListenerQueue& events = trajectory.generation->events;
  const int image = trajectory.image_index;
  if (plan_row.ends_step) {
    ++trajectory.steps_done;
    events.Push(
        ListenerQueue::Progress{image, trajectory.steps_done, trajectory.spec->plan->steps});
  }
  if (trajectory.on_last_row()) {
    events.Push(ListenerQueue::FinalImage{image, *std::move(row.x_t)});
    return;
  }
  if (row.want_x_t && row.x_t.has_value()) {
    events.Push(ListenerQueue::Preview{image, trajectory.steps_done, plan_row.next_timestep,
                                       PreviewContent::kXt, *std::move(row.x_t)});
  }
  if (row.want_x0_hat && row.x0_hat.has_value()) {
    events.Push(ListenerQueue::Preview{image, trajectory.steps_done, plan_row.next_timestep,
                                       PreviewContent::kX0Hat, *std::move(row.x0_hat)});
  }
}

void StepScheduler::PutBack(Model& model, Trajectory& trajectory) {
  trajectory.state = Trajectory::State::kWaiting;
  model.policy.PutBack(trajectory.generation->id, PolicyRow(trajectory));
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

void StepScheduler::Finish(std::shared_ptr<Generation> generation, const absl::Status& status,
                           absl::Time now, Aftermath& aftermath) {
  generation->ended = true;
  unfinished_trajectories_ -= generation->images_left;
  generations_.erase(generation->id);
  deadlines_.erase({generation->spec.deadline, generation->id});
  Model& model = models_.at(generation->spec.model);
  --model.generations;
  model.policy.Remove(generation->id);
  for (Trajectory& trajectory : generation->trajectories) {
    // Running ones are a worker's; they are dropped when they come back.
    if (trajectory.state != Trajectory::State::kWaiting) continue;
    if (!trajectory.resident) --waiting_trajectories_;
    Drop(model, trajectory, aftermath);
  }
  ForgetIfIdle(generation->spec.model);

  const absl::Time begun = generation->first_step.value_or(now);
  generation->events.Push(ListenerQueue::Finished{
      status, {.queue = begun - generation->submitted, .compute = now - begun}});
  aftermath.finished.push_back(status);
  aftermath.to_deliver.push_back(std::move(generation));
}

void StepScheduler::ForgetIfIdle(const std::string& name) {
  const auto found = models_.find(name);
  if (found->second.generations == 0 && found->second.trajectories_in_flight == 0) {
    models_.erase(found);
  }
}

StepScheduler::Depth StepScheduler::depth() const {
  Depth depth;
  depth.waiting = waiting_trajectories_;
  for (const auto& [name, model] : models_) depth.resident += model.resident;
  return depth;
}

}  // namespace diffusiond
