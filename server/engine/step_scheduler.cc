#include "server/engine/step_scheduler.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace diffusiond {

StepScheduler::StepScheduler(Limits limits, MakePolicy make_policy)
    : limits_(limits), make_policy_(std::move(make_policy)), places_(limits.places) {}

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
  if (heir.meter.has_seen_any()) return;
  heir.meter = found->second.meter;
  heir.resident_limit = found->second.resident_limit;
}

void StepScheduler::RemoveModel(const std::string& model, absl::Time now, Effects& effects) {
  workers_.RemoveModel(model);
  const auto found = models_.find(model);
  if (found == models_.end()) return;
  std::vector<GenerationId> left;
  for (const auto& [id, generation] : generations_) {
    if (generation->spec.model == model) left.push_back(id);
  }
  for (const GenerationId id : left) {
    End(id, absl::UnavailableError(absl::StrCat("model ", model, " was removed")), now, effects);
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
    if (&other != &model && other.policy->waiting_passes() > 0) ++turns;
  }
  for (absl::Duration& step : pace.steps) step *= turns;
  pace.pass *= turns;
  return pace;
}

void StepScheduler::End(GenerationId id, const absl::Status& reason, absl::Time now,
                        Effects& effects) {
  const auto found = generations_.find(id);
  if (found != generations_.end()) Finish(found->second, reason, now, effects);
}

void StepScheduler::EndAll(const absl::Status& reason, absl::Time now, Effects& effects) {
  while (!generations_.empty()) Finish(generations_.begin()->second, reason, now, effects);
}

void StepScheduler::ExpireDue(absl::Time now, Effects& effects) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const Generation& generation = *generations_.at(deadlines_.begin()->second);
    const int count = static_cast<int>(generation.trajectories.size());
    End(generation.id,
        absl::DeadlineExceededError(absl::StrCat("the deadline passed with ",
                                                 count - generation.images_left, " of ", count,
                                                 " images drawn")),
        now, effects);
  }
}

absl::Time StepScheduler::NextWake() const {
  absl::Time wake = deadlines_.empty() ? absl::InfiniteFuture() : deadlines_.begin()->first;
  for (const auto& [name, model] : models_) wake = std::min(wake, model.policy->NextDecision());
  return wake;
}

int StepScheduler::Share(const WorkerCapacity& capacity, const Model& model) const {
  const int idle = std::max(1, workers_.idle(capacity.model));
  const int even = (model.policy->waiting_passes() + idle - 1) / idle;
  const int unit = std::max(1, capacity.micro_batch);
  const int whole = (even + unit - 1) / unit * unit;
  // Guided trajectories, which take two passes, shall not wait behind others for a larger share.
  return std::min(capacity.capacity, std::max(2, whole));
}

std::shared_ptr<Trajectory> StepScheduler::NextToRetryAlone(Model& model) {
  while (!model.retry_alone.empty()) {
    std::shared_ptr<Trajectory> trajectory = std::move(model.retry_alone.front());
    model.retry_alone.pop_front();
    if (trajectory->state == Trajectory::State::kWaiting) return trajectory;
  }
  return nullptr;
}

std::vector<std::shared_ptr<Trajectory>> StepScheduler::ChooseTrajectories(
    const WorkerCapacity& capacity, Model& model, absl::Time now) {
  if (std::shared_ptr<Trajectory> trajectory = NextToRetryAlone(model))
    return {std::move(trajectory)};
  model.policy->SetPace(PaceOf(model, capacity.model));
  SchedulingPolicy::Offer offer = {.now = now,
                                   .capacity = Share(capacity, model),
                                   .new_residents = model.resident_limit - model.resident};
  std::vector<PolicyChoice> choices = model.policy->Choose(offer);
  if (choices.empty() && offer.capacity < capacity.capacity) {
    // A trajectory whose network passes are more than this worker's share of them all.
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

std::optional<StepBatch> StepScheduler::Choose(WorkerId id, absl::Time now, Effects& effects) {
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
    return BeginBatch(id, *capacity, model, std::move(chosen), now, effects);
  }
  return std::nullopt;
}

StepBatch StepScheduler::BeginBatch(WorkerId worker, const WorkerCapacity& capacity, Model& model,
                                    std::vector<std::shared_ptr<Trajectory>> trajectories,
                                    absl::Time now, Effects& effects) {
  StepBatch batch;
  batch.model = capacity.model;
  batch.worker = worker;
  batch.capacity = capacity.capacity;
  batch.micro_batch = capacity.micro_batch;
  batch.started = now;
  for (const std::shared_ptr<Trajectory>& trajectory : trajectories) {
    BeginTrajectory(worker, model, *trajectory, now, effects);
    batch.tasks.push_back(BeginStep(*trajectory));
  }
  batch.owners = std::move(trajectories);
  ++model.batches;
  ++model.batches_in_hand;
  workers_.Begin(batch);
  if (workers_.idle(capacity.model) == 0) ++model.full_turns;
  return batch;
}

void StepScheduler::BeginTrajectory(WorkerId worker, Model& model, Trajectory& trajectory,
                                    absl::Time now, Effects& effects) {
  Generation& generation = *trajectory.generation;
  if (!generation.first_step.has_value()) {
    generation.first_step = now;
    effects.counts.first_steps.push_back(
        {.priority = generation.spec.priority,
         .queue_wait = now - generation.submitted,
         .delay_steps = model.batches - generation.submitted_batch});
  }
  if (!trajectory.resident) {
    trajectory.resident = true;
    ++model.resident;
    --waiting_trajectories_;
  } else if (model.full_turns > trajectory.waits_since) {
    ++effects.counts.preemptions;
  }
  if (trajectory.worker != 0 && trajectory.worker != worker) ++effects.counts.migrations;
  trajectory.worker = worker;
  trajectory.state = Trajectory::State::kRunning;
}

EngineMetrics::QueueDepth StepScheduler::depth() const {
  EngineMetrics::QueueDepth depth;
  depth.waiting = waiting_trajectories_;
  depth.resident_limit = limits_.max_resident_trajectories;
  for (const auto& [name, model] : models_) {
    depth.resident += model.resident;
    depth.resident_limit = std::min(depth.resident_limit, model.resident_limit);
  }
  return depth;
}

}  // namespace diffusiond
