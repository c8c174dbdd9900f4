// The first part of StepScheduler: who comes in.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/status/status_macros.h"
#include "server/engine/refusal.h"
#include "server/engine/side_by_side.h"
#include "server/engine/step_scheduler.h"

namespace diffusiond {
namespace {

// When to ask again while no pace is known.
constexpr absl::Duration kUnknownRetry = absl::Seconds(1);

// An idle server's pace is doubted after so long without a step. It may be that of one slow step (a
// machine that was suspended, another model that was being loaded), and what is refused for it runs
// no step that would correct it.
constexpr absl::Duration kPaceHolds = absl::Seconds(10);

// Refusals show durations to the millisecond.
constexpr absl::Duration kShown = absl::Milliseconds(1);

int PassesAtOnce(const std::vector<PolicyTrajectory>& trajectories) {
  int passes = 0;
  for (const PolicyTrajectory& trajectory : trajectories) passes += trajectory.passes;
  return passes;
}

// Of the trajectory that has most.
int LongestRows(const std::vector<PolicyTrajectory>& trajectories) {
  int longest = 0;
  for (const PolicyTrajectory& trajectory : trajectories) {
    longest = std::max(longest, trajectory.rows_left);
  }
  return longest;
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

std::string Shown(absl::Duration duration) {
  return absl::FormatDuration(absl::Trunc(duration, kShown));
}

// Whose share a request would pass, and how much of it is taken.
std::string Describe(const QueuePlaces::Lack& lack, const GenerationSpec& spec, int places) {
  const size_t count = spec.trajectories.size();
  if (lack.whose == Holder::Whose::kAll) {
    return absl::StrCat("the queue is full: ", lack.held, " of ", places,
                        " images are queued, no room for ", count, " more");
  }
  std::string whose;
  if (lack.whose == Holder::Whose::kHigh) whose = "priority HIGH";
  if (lack.whose == Holder::Whose::kAddress) whose = absl::StrCat("address \"", spec.address, "\"");
  if (lack.whose == Holder::Whose::kTenant) whose = absl::StrCat("tenant \"", spec.tenant, "\"");
  return absl::StrCat(whose, " has ", lack.held, " of ", places, " images in the queue, and ",
                      count, " more would pass its share while ", lack.free, " places are free");
}

}  // namespace

std::optional<absl::Duration> StepScheduler::PredictFree(const QueuePlaces::Lack& lack,
                                                         const GenerationSpec& spec) const {
  const Holder holder = {.whose = lack.whose, .address = spec.address, .tenant = spec.tenant};
  std::optional<absl::Duration> longest;
  for (const auto& [name, model] : models_) {
    const Pace pace = PaceOf(model, name);
    if (pace.pass == absl::ZeroDuration()) continue;
    const std::optional<PolicyWait> wait =
        model.policy->UntilFree(holder, static_cast<double>(lack.needed) / lack.held);
    if (!wait.has_value()) continue;
    const absl::Duration step = pace.StepOf(model.policy->passes_at_once());
    const absl::Duration time = std::max(wait->rows * step, wait->passes * pace.pass);
    longest = std::max(longest.value_or(time), time);
  }
  return longest;
}

absl::Status StepScheduler::CheckRoom(const GenerationSpec& spec) const {
  const std::optional<QueuePlaces::Lack> lack = places_.Check(spec);
  if (!lack.has_value()) return absl::OkStatus();
  std::string message = Describe(*lack, spec, places_.limit());
  const std::optional<absl::Duration> free = PredictFree(*lack, spec);
  if (free.has_value()) {
    absl::StrAppend(&message, "; predicted to have room in ", Shown(*free));
  }
  return Refusal(
      lack->whose == Holder::Whose::kAll ? RefusalReason::kQueueFull : RefusalReason::kOverShare,
      message, free.value_or(kUnknownRetry));
}

std::optional<absl::Duration> StepScheduler::PredictTime(
    const Model& model, const std::string& name, const PolicyGeneration& generation,
    const std::vector<PolicyTrajectory>& trajectories) const {
  const Pace pace = PaceOf(model, name);
  if (pace.pass == absl::ZeroDuration()) return std::nullopt;
  const absl::Duration step =
      pace.StepOf(model.policy->passes_at_once() + PassesAtOnce(trajectories));
  const absl::Duration time =
      std::max(LongestRows(trajectories) * step,
               model.policy->PassesUntilDone(generation, trajectories) * pace.pass);
  // It joins after the step that is running.
  return IsIdle() ? time : time + step / 2;
}

bool StepScheduler::IsIdle() const {
  return std::all_of(models_.begin(), models_.end(), [](const auto& entry) {
    const Model& model = entry.second;
    return model.batches_in_hand == 0 && model.policy->waiting_passes() == 0;
  });
}

absl::Duration StepScheduler::TimeAlone(const Model& model, const std::string& name,
                                        const std::vector<PolicyTrajectory>& trajectories,
                                        bool doubted) const {
  const int side_by_side = std::min(workers_.total_capacity(name), model.resident_limit);
  const Pace pace = doubted ? model.meter.best(side_by_side) : model.meter.pace(side_by_side);
  const absl::Time begin = absl::UnixEpoch();
  SideBySide layout(begin, pace.side_by_side, pace.StepOf(PassesAtOnce(trajectories)));
  return layout.Place(trajectories) - begin;
}

absl::Status StepScheduler::CheckDeadline(const Generation& generation,
                                          const PolicyGeneration& asked,
                                          const std::vector<PolicyTrajectory>& trajectories,
                                          absl::Time now) const {
  if (!generation.predicted.has_value() || asked.deadline == absl::InfiniteFuture()) {
    return absl::OkStatus();
  }
  const absl::Duration left = asked.deadline - now, predicted = *generation.predicted;
  const std::string& name = generation.spec.model;
  const Model& model = models_.at(name);
  // What an idle server tries keeps nobody waiting, and shows how long it takes.
  const bool idle = IsIdle();
  const bool doubted =
      idle && (now - model.meter.last() > kPaceHolds ||
               !model.meter.HasSeen(PassesAtOnce(trajectories), workers_.total_capacity(name)));
  const absl::Duration alone = TimeAlone(model, name, trajectories, doubted);
  if (alone >= left) {
    // No time to come back at would help, so none is named.
    return absl::DeadlineExceededError(absl::StrCat(
        "the deadline is in ", Shown(left), ", which an idle server cannot meet: it takes about ",
        Shown(alone), "; ask for fewer steps or images, or for a later deadline"));
  }
  if (idle) return absl::OkStatus();
  if (predicted > left) {
    return Refusal(RefusalReason::kDeadline,
                   absl::StrCat("the deadline is in ", Shown(left),
                                ", but behind what was admitted before the predicted finish is in ",
                                Shown(predicted)),
                   predicted - left);
  }
  if (!model.policy->DeadlinesFit(asked, trajectories, now)) {
    return Refusal(RefusalReason::kDeadline,
                   absl::StrCat("the deadline is in ", Shown(left),
                                ", and requests that were admitted before need the time until "
                                "then to meet theirs; the predicted wait is ",
                                Shown(predicted)),
                   predicted);
  }
  return absl::OkStatus();
}

absl::StatusOr<GenerationId> StepScheduler::Admit(GenerationSpec spec, absl::Time now) {
  RETURN_IF_ERROR(ValidateSpec(spec, places_.limit()));
  if (spec.deadline <= now) {
    return absl::DeadlineExceededError("the deadline passed before the request was queued");
  }
  const int count = static_cast<int>(spec.trajectories.size());
  Model& model = ModelOf(spec.model);
  RETURN_IF_ERROR(CheckRoom(spec));

  const GenerationId id = last_id_ + 1;
  const PolicyGeneration asked = {.id = id,
                                  .address = spec.address,
                                  .tenant = spec.tenant,
                                  .priority = spec.priority,
                                  .admitted = now,
                                  .deadline = spec.deadline};
  auto generation = std::make_shared<Generation>(id, std::move(spec), now);
  generation->images_left = count;
  generation->submitted_batch = model.batches;
  generation->trajectories.resize(static_cast<size_t>(count));
  std::vector<PolicyTrajectory> trajectories;
  for (int i = 0; i < count; ++i) {
    Trajectory& trajectory = generation->trajectories[i];
    trajectory.generation = generation.get();
    trajectory.spec = &generation->spec.trajectories[i];
    trajectory.image_index = i;
    for (const PlanRow& row : trajectory.spec->plan->rows) {
      trajectory.extra_left += NetworkPasses(trajectory.spec->guidance, row) - 1;
    }
    trajectories.push_back(trajectory.for_policy());
  }
  model.policy->SetPace(PaceOf(model, generation->spec.model));
  generation->predicted = PredictTime(model, generation->spec.model, asked, trajectories);
  RETURN_IF_ERROR(CheckDeadline(*generation, asked, trajectories, now));

  last_id_ = id;
  model.policy->Admit(asked, trajectories);
  places_.Take(generation->spec);
  waiting_trajectories_ += count;
  if (asked.deadline != absl::InfiniteFuture()) deadlines_.emplace(asked.deadline, id);
  generations_.emplace(id, std::move(generation));
  return id;
}

}  // namespace diffusiond
