#include "server/versions/repository_follower.h"

#include <malloc.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "model/status/status_macros.h"

namespace diffusiond {

ModelSituation RepositoryFollower::SituationOf(const ModelDirectory& directory,
                                               std::map<int, std::string> stamps,
                                               absl::Time now) const {
  using State = ModelSituation::Loaded::State;
  ModelSituation model;
  model.name = directory.name;
  model.numbered = directory.numbered;
  model.on_disk = directory.versions;
  model.stamps = std::move(stamps);
  model.pinned = directory.pinned;
  model.keep = options_.keep_versions;
  model.now = now;
  absl::MutexLock lock(&mu_);
  const auto found = models_.find(directory.name);
  if (found == models_.end()) return model;
  const ModelState& state = found->second;
  for (const LoadedVersion& loaded : state.loaded) {
    model.loaded.push_back({.number = loaded.version->number(),
                            .copy = loaded.version->copy,
                            .stamp = loaded.version->stamp,
                            .state = loaded.version == state.serving ? State::kServing
                                     : loaded.kept != nullptr        ? State::kKept
                                     : loaded.users.expired()        ? State::kEnding
                                                                     : State::kDraining});
  }
  model.held = state.held;
  model.refused = state.refused;
  return model;
}

absl::Status RepositoryFollower::Follow(const ModelDirectory& directory) {
  {
    absl::MutexLock lock(&mu_);
    std::erase_if(models_[directory.name].refused,
                  [&](const auto& refused) { return !directory.Has(refused.first); });
  }
  // Both stay as they are until the end: what fails now is not tried again in this turn, however
  // long the others take.
  std::map<int, std::string> stamps;
  const absl::Time now = options_.now();
  while (true) {
    const VersionChoice choice = ChooseVersion(SituationOf(directory, stamps, now));
    if (choice.actions.empty()) {
      NoteProblem(directory.name, choice.problem);
      return choice.status;
    }
    const VersionAction& action = choice.actions.front();
    switch (action.kind) {
      case VersionAction::Kind::kLook:
        stamps[action.number] = directory.Stamp(action.number);
        break;
      case VersionAction::Kind::kLoad:
        Load(directory, action.number, stamps[action.number]);
        break;
      case VersionAction::Kind::kServe:
      case VersionAction::Kind::kRelease:
        Serve(directory.name, choice.actions);
        break;
    }
  }
}

void RepositoryFollower::NoteProblem(const std::string& name,
                                     const std::optional<VersionProblem>& problem) {
  if (problem.has_value() && problem->waits) waits_for_room_ = true;
  if (IsNews(name, problem.has_value() ? problem->text : "") && problem.has_value()) {
    parts_.log->Problem(name, *problem, Serving(name) != nullptr);
  }
}

bool RepositoryFollower::IsNews(const std::string& name, const std::string& problem) {
  absl::MutexLock lock(&mu_);
  std::string& told = models_[name].problem;
  return std::exchange(told, problem) != problem;
}

void RepositoryFollower::Load(const ModelDirectory& directory, int number,
                              const std::string& stamp) {
  const absl::Status status = LoadAndPlace(directory, number, stamp);
  if (!status.ok()) Refuse(directory.name, number, stamp, status);
}

absl::Status RepositoryFollower::LoadAndPlace(const ModelDirectory& directory, int number,
                                              const std::string& stamp) {
  const absl::Time start = absl::Now();
  const std::shared_ptr<const ModelVersion> serving = Serving(directory.name);
  VersionLoader::Request request{
      .number = number, .copy = 0, .stamp = stamp, .micro_batch = options_.micro_batch};
  // It is part of what receipts name; and a profile under load says little.
  if (request.micro_batch == 0 && serving != nullptr) request.micro_batch = serving->micro_batch();
  {
    absl::MutexLock lock(&mu_);
    request.copy = models_[directory.name].loads[number];
  }
  ASSIGN_OR_RETURN(VersionLoader::Loaded loaded, loader_.Load(directory, request));
  const std::shared_ptr<const ModelVersion> version = loaded.version;
  parts_.log->Described(*version);
  {
    absl::MutexLock lock(&mu_);
    ++models_[directory.name].loads[number];
  }
  std::vector<std::unique_ptr<StepExecutor>> executors = std::move(loaded.executors);
  // First of all: a worker that is built meanwhile takes it along.
  parts_.loaded->Add(version);
  absl::Status status = parts_.supervisor->AddModel(version->key(), std::move(executors));
  if (!status.ok()) {
    parts_.loaded->Remove(*version);
    parts_.supervisor->RemoveModel(version->key());
    return status;
  }
  parts_.log->Loaded(loaded, absl::Now() - start);
  LoadedVersion lease = Lease(version);
  absl::MutexLock lock(&mu_);
  std::vector<LoadedVersion>& all = models_[directory.name].loaded;
  all.insert(all.begin(), std::move(lease));
  return absl::OkStatus();
}

LoadedVersion RepositoryFollower::Lease(const std::shared_ptr<const ModelVersion>& version) const {
  const std::shared_ptr<const ServedModel> lease(
      &version->served,
      [version, on_unused = options_.on_unused](const ServedModel*) { on_unused(version); });
  return {.version = version, .users = lease, .kept = lease};
}

void RepositoryFollower::Refuse(const std::string& name, int number, const std::string& stamp,
                                const absl::Status& reason) {
  VersionRefusal refusal;
  {
    absl::MutexLock lock(&mu_);
    std::map<int, VersionRefusal>& refused = models_[name].refused;
    const auto before = refused.find(number);
    const VersionRefusal* const last = before == refused.end() ? nullptr : &before->second;
    refusal = RefuseVersion(last, stamp, reason, options_.now());
    const bool told = last != nullptr && IsSameRefusal(*last, refusal);
    refused[number] = refusal;
    if (told) return;
  }
  parts_.log->Refused(name, number, refusal);
}

void RepositoryFollower::Serve(const std::string& name, const std::vector<VersionAction>& actions) {
  const std::shared_ptr<const ModelVersion> before = Serving(name);
  std::shared_ptr<const ModelVersion> version;
  ModelCatalog::Model served;
  std::vector<ModelCatalog::Model> others;
  std::vector<ModelCatalog::Model>
      released;  // Perhaps the last of their users: not under the lock.
  int loaded_count;
  {
    absl::MutexLock lock(&mu_);
    ModelState& state = models_[name];
    const auto find = [&state](const VersionAction& action) {
      return std::find_if(state.loaded.begin(), state.loaded.end(), [&](const LoadedVersion& it) {
        return it.version->number() == action.number && it.version->copy == action.copy;
      });
    };
    const auto chosen = find(actions.front());
    // One that drained comes back, unless its last user has just gone.
    served = chosen->users.lock();
    if (served == nullptr) return;
    version = chosen->version;
    chosen->kept = served;
    std::rotate(chosen, chosen + 1, state.loaded.end());
    state.serving = version;
    state.refused.erase(version->number());
    // Not of one whose files were touched.
    if (before != nullptr && before->number() != version->number()) {
      state.before = before->number();
    }
    for (auto action = actions.begin() + 1; action != actions.end(); ++action) {
      released.push_back(std::exchange(find(*action)->kept, nullptr));
    }
    for (auto other = state.loaded.rbegin() + 1; other != state.loaded.rend(); ++other) {
      if (other->kept != nullptr) others.push_back(other->kept);
    }
    loaded_count = static_cast<int>(state.loaded.size());
  }
  if (before != nullptr && before->network == version->network) {
    parts_.engine->InheritPace(version->key(), before->key());
  }
  parts_.catalog->Put(std::move(served), std::move(others));
  parts_.log->Serving(*version, before.get(), loaded_count);
  if (options_.on_catalog_changed) options_.on_catalog_changed();
}

void RepositoryFollower::Unload(std::shared_ptr<const ModelVersion> version) {
  int left;
  {
    absl::MutexLock lock(&mu_);
    std::vector<LoadedVersion>& loaded = models_[version->name()].loaded;
    std::erase_if(loaded, [&](const LoadedVersion& other) { return other.version == version; });
    left = static_cast<int>(loaded.size());
  }
  parts_.loaded->Remove(*version);
  parts_.supervisor->RemoveModel(version->key());
  const ServedModel was = version->served;
  version.reset();
  // Its weights were allocated among what stays, so the system would not get them back by itself.
  malloc_trim(0);
  parts_.log->Unloaded(was, left);
}

std::shared_ptr<const ModelVersion> RepositoryFollower::Serving(const std::string& name) const {
  absl::MutexLock lock(&mu_);
  const auto found = models_.find(name);
  return found == models_.end() ? nullptr : found->second.serving;
}

}  // namespace diffusiond
