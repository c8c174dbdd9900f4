#include "server/engine/step_scheduler.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/engine/refusal.h"

namespace diffusiond {
namespace {

// Refusals show durations to the millisecond.
constexpr absl::Duration kShown = absl::Milliseconds(1);

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

}  // namespace

StepScheduler::StepScheduler(Limits limits, MakePolicy make_policy)
    : limits_(limits), make_policy_(std::move(make_policy)) {}

StepScheduler::Model& StepScheduler::ModelOf(const std::string& name) {
  const auto [found, is_new] = models_.try_emplace(name);
  if (is_new) {
    found->second.policy = make_policy_();
    found->second.resident_limit = limits_.max_resident_trajectories;
  }
  return found->second;
}

void StepScheduler::InheritPace(const std::string& model, const std::string& from) {
  const auto found = models_.find(from);
  if (found == models_.end()) return;
  Model& heir = ModelOf(model);
  heir.meter = found->second.meter;
  heir.resident_limit = found->second.resident_limit;
}

void StepScheduler::RemoveModel(const std::string& model, absl::Time now, Aftermath& aftermath) {
  workers_.RemoveModel(model);
  const auto found = models_.find(model);
  if (found == models_.end()) return;
  std::vector<GenerationId> left;
  for (const auto& [id, generation] : generations_) {
    if (generation->spec.model == model) left.push_back(id);
  }
  for (const GenerationId id : left) {
    End(id, absl::UnavailableError(absl::StrCat("model ", model, " was removed")), now, aftermath);
  }
  found->second.removed = true;
  if (found->second.batches_in_hand == 0) models_.erase(found);
}

void StepScheduler::NoteReturned(const std::string& name) {
  const auto found = models_.find(name);
  if (--found->second.batches_in_hand == 0 && found->second.removed) models_.erase(found);
}

Pace StepScheduler::PaceOf(const Model& model, const std::string& name) const {
  const int side_by_side = std::min(workers_.total_capacity(name), model.resident_limit);
  Pace pace = model.meter.pace(side_by_side);
  // Models that have work take turns.
  int turns = 1;
  for (const auto& [other_name, other] : models_) {
    if (&other != &model && other.policy->waiting_network_rows() > 0) ++turns;
  }
  pace.step *= turns;
  pace.network_row *= turns;
  return pace;
}

absl::Status StepScheduler::CheckRoom(const Model& model, const std::string& name,
                                      int count) const {
  if (unfinished_trajectories_ + count <= limits_.max_trajectories) return absl::OkStatus();
  // By then about so many of those that are queued will be finished.
  const absl::Duration row = PaceOf(model, name).network_row;
  const absl::Duration all = model.policy->NetworkRowsUntilDone({}, {}) * row;
  return Refusal(
      RefusalReason::kQueueFull,
      absl::StrCat("the queue is full: ", unfinished_trajectories_, " of ",
                   limits_.max_trajectories, " images are queued, no room for ", count, " more"),
      all * count / std::max(1, unfinished_trajectories_));
}

std::optional<absl::Duration> StepScheduler::PredictTime(const Model& model,
                                                         const std::string& name,
                                                         const PolicyGeneration& generation,
                                                         const std::vector<PolicyRow>& rows) const {
  const Pace pace = PaceOf(model, name);
  if (pace.network_row == absl::ZeroDuration()) return std::nullopt;
  int longest = 0;
  for (const PolicyRow& row : rows) longest = std::max(longest, row.rows_left);
  // It joins after the step that is running.
  return pace.step / 2 +
         std::max(longest * pace.step,
                  model.policy->NetworkRowsUntilDone(generation, rows) * pace.network_row);
}

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
  Model& model = ModelOf(spec.model);
  if (absl::Status room = CheckRoom(model, spec.model, count); !room.ok()) return room;

  const GenerationId id = last_id_ + 1;
  const PolicyGeneration line = {.id = id,
                                 .address = spec.address,
                                 .tenant = spec.tenant,
                                 .priority = spec.priority,
                                 .admitted = now,
                                 .deadline = spec.deadline};
  auto generation = std::make_shared<Generation>(id, std::move(spec), std::move(listener), now);
  generation->images_left = count;
  generation->submitted_batch = model.batches;
  generation->trajectories.resize(static_cast<size_t>(count));
  std::vector<PolicyRow> rows;
  for (int i = 0; i < count; ++i) {
    Trajectory& trajectory = generation->trajectories[i];
    trajectory.generation = generation.get();
    trajectory.spec = &generation->spec.trajectories[i];
    trajectory.image_index = i;
    for (const PlanRow& row : trajectory.spec->plan->rows) {
      trajectory.extra_left += NetworkRows(trajectory.spec->guidance, row) - 1;
    }
    rows.push_back(trajectory.policy_row());
  }
  generation->predicted = PredictTime(model, generation->spec.model, line, rows);
  const absl::Duration left = line.deadline - now;
  if (generation->predicted.has_value() && line.deadline != absl::InfiniteFuture() &&
      *generation->predicted <= left && !model.policy->DeadlinesFit(line, rows, now)) {
    return Refusal(
        RefusalReason::kDeadline,
        absl::StrCat("the deadline is in ", absl::FormatDuration(absl::Trunc(left, kShown)),
                     ", and requests that were admitted before need the time until "
                     "then to meet theirs; the predicted wait is ",
                     absl::FormatDuration(absl::Trunc(*generation->predicted, kShown))),
        *generation->predicted);
  }
  if (generation->predicted.has_value() && *generation->predicted > left) {
    return Refusal(
        RefusalReason::kDeadline,
        absl::StrCat("the deadline is in ", absl::FormatDuration(absl::Trunc(left, kShown)),
                     ", but behind what was admitted before the predicted finish is in ",
                     absl::FormatDuration(absl::Trunc(*generation->predicted, kShown))),
        *generation->predicted - left);
  }

  last_id_ = id;
  model.policy->Admit(line, rows);
  unfinished_trajectories_ += count;
  waiting_trajectories_ += count;
  if (line.deadline != absl::InfiniteFuture()) deadlines_.emplace(line.deadline, id);
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

absl::Time StepScheduler::NextWake() const {
  absl::Time wake = deadlines_.empty() ? absl::InfiniteFuture() : deadlines_.begin()->first;
  for (const auto& [name, model] : models_) wake = std::min(wake, model.policy->NextDecision());
  return wake;
}

int StepScheduler::Share(const WorkerCapacity& capacity, const Model& model) const {
  const int idle = std::max(1, workers_.idle(capacity.model));
  const int even = (model.policy->waiting_network_rows() + idle - 1) / idle;
  const int micro_batches = (even + capacity.micro_batch - 1) / capacity.micro_batch;
  // Guided trajectories, which take two rows, shall not wait behind others for a larger share.
  return std::min(capacity.capacity, std::max(2, micro_batches * capacity.micro_batch));
}

std::shared_ptr<Trajectory> StepScheduler::NextSuspect(Model& model) {
  while (!model.suspects.empty()) {
    std::shared_ptr<Trajectory> suspect = std::move(model.suspects.front());
    model.suspects.pop_front();
    if (suspect->state == Trajectory::State::kWaiting) return suspect;
  }
  return nullptr;
}

std::vector<std::shared_ptr<Trajectory>> StepScheduler::ChooseTrajectories(
    const WorkerCapacity& capacity, Model& model, absl::Time now) {
  if (std::shared_ptr<Trajectory> suspect = NextSuspect(model)) return {std::move(suspect)};
  model.policy->SetPace(PaceOf(model, capacity.model));
  SchedulingPolicy::Offer offer = {.now = now,
                                   .capacity = Share(capacity, model),
                                   .new_residents = model.resident_limit - model.resident};
  std::vector<PolicyChoice> choices = model.policy->Choose(offer);
  if (choices.empty() && offer.capacity < capacity.capacity) {
    // A trajectory whose network rows are more than this worker's share of them all.
    offer.capacity = capacity.capacity;
    choices = model.policy->Choose(offer);
  }
  std::vector<std::shared_ptr<Trajectory>> chosen;
  for (const PolicyChoice& choice : choices) {
    const std::shared_ptr<Generation>& generation = generations_.at(choice.generation);
    // Shares the generation's life: it may end while the worker is at it.
    chosen.emplace_back(generation, &generation->trajectories[choice.image_index]);
  }
  return chosen;
}

std::optional<StepBatch> StepScheduler::Choose(WorkerId id, absl::Time now, Aftermath& aftermath) {
  if (!workers_.Serves(id)) return std::nullopt;
  std::vector<std::pair<uint64_t, const WorkerCapacity*>> turns;
  for (const WorkerCapacity& capacity : workers_.capacities(id)) {
    const auto found = models_.find(capacity.model);
    if (found != models_.end()) turns.emplace_back(found->second.last_turn, &capacity);
  }
  std::sort(turns.begin(), turns.end());

  for (const auto& [last_turn, capacity] : turns) {
    Model& model = models_.at(capacity->model);
    std::vector<std::shared_ptr<Trajectory>> chosen = ChooseTrajectories(*capacity, model, now);
    if (chosen.empty()) continue;
    model.last_turn = ++turns_;
    return BeginBatch(id, *capacity, model, std::move(chosen), now, aftermath);
  }
  return std::nullopt;
}

StepBatch StepScheduler::BeginBatch(WorkerId worker, const WorkerCapacity& capacity, Model& model,
                                    std::vector<std::shared_ptr<Trajectory>> trajectories,
                                    absl::Time now, Aftermath& aftermath) {
  StepBatch batch;
  batch.model = capacity.model;
  batch.worker = worker;
  batch.capacity = capacity.capacity;
  batch.micro_batch = capacity.micro_batch;
  batch.started = now;
  for (const std::shared_ptr<Trajectory>& trajectory : trajectories) {
    BeginTrajectory(worker, model, *trajectory, now, aftermath);
    batch.rows.push_back(BeginRow(*trajectory));
  }
  batch.owners = std::move(trajectories);
  ++model.batches;
  ++model.batches_in_hand;
  workers_.Begin(batch);
  return batch;
}

void StepScheduler::BeginTrajectory(WorkerId worker, Model& model, Trajectory& trajectory,
                                    absl::Time now, Aftermath& aftermath) {
  Generation& generation = *trajectory.generation;
  if (!generation.first_step.has_value()) {
    generation.first_step = now;
    aftermath.first_steps.push_back({.priority = generation.spec.priority,
                                     .queue_wait = now - generation.submitted,
                                     .delay_steps = model.batches - generation.submitted_batch});
  }
  if (!trajectory.resident) {
    trajectory.resident = true;
    ++model.resident;
    --waiting_trajectories_;
  } else if (model.batches > trajectory.waits_since) {
    ++aftermath.preemptions;
  }
  if (trajectory.worker != 0 && trajectory.worker != worker) ++aftermath.migrations;
  trajectory.worker = worker;
  trajectory.state = Trajectory::State::kRunning;
}

StepScheduler::Depth StepScheduler::depth() const {
  Depth depth;
  depth.waiting = waiting_trajectories_;
  depth.resident_limit = limits_.max_resident_trajectories;
  for (const auto& [name, model] : models_) {
    depth.resident += model.resident;
    depth.resident_limit = std::min(depth.resident_limit, model.resident_limit);
  }
  return depth;
}

}  // namespace diffusiond
