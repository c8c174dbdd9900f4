#include "tests/simulation/versions.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/model_key.h"

namespace diffusiond {
namespace {

using Kind = World::Change::Kind;

std::string ModelName(int model) { return absl::StrCat("model", model); }

// Tells weights apart.
int Identity(int number, int copy) { return number * 64 + copy; }

}  // namespace

Versions::Versions(const World& world, Fibers* fibers, Promises* promises,
                   SimulatedDevices* devices)
    : world_(world), fibers_(fibers), promises_(promises), devices_(devices) {
  inbox_->fibers = fibers;
  models_.resize(world.models.size());
}

void Versions::LoadAll(Engine* engine, WorkerSupervisor* supervisor) {
  const Unwatched unwatched;
  engine_ = engine;
  supervisor_ = supervisor;
  for (size_t i = 0; i < models_.size(); ++i) (void)Follow(static_cast<int>(i));
}

void Versions::Start() {
  thread_ = fibers_->Spawn("versions", [this] { Run(); });
}

void Versions::Stop() {
  const Unwatched unwatched;
  inbox_->stopped = true;
  fibers_->WakeAll(inbox_.get());
  fibers_->Join(thread_);
}

ServedVersion Versions::Serving(int model) const {
  const Unwatched unwatched;
  const Model& state = models_[static_cast<size_t>(model)];
  for (const LoadedVersion& loaded : state.loaded) {
    if (loaded.key == state.serving) {
      return {
          .key = loaded.key, .version = Identity(loaded.number, loaded.copy), .lease = loaded.kept};
    }
  }
  return {};
}

std::unique_ptr<StepExecutor> Versions::MakeExecutor(const Source& source, int device) const {
  return std::make_unique<SimulatedExecutor>(devices_, device, source.key, source.identity,
                                             world_.models[static_cast<size_t>(source.model)]);
}

StepExecutors Versions::MakeExecutors(int device) const {
  const Unwatched unwatched;
  StepExecutors executors;
  for (const Source& source : sources_) executors[source.key] = MakeExecutor(source, device);
  return executors;
}

void Versions::Run() {
  const Unwatched unwatched;
  const absl::Time began = fibers_->Now();
  for (const World::Change& change : world_.changes) {
    while (!inbox_->stopped && fibers_->Now() < began + change.at) {
      fibers_->Wait(inbox_.get(), began + change.at);
      UnloadUnused();
    }
    if (inbox_->stopped) return;
    Apply(change);
  }
  while (!inbox_->stopped) {
    fibers_->Wait(inbox_.get());
    if (!inbox_->stopped) UnloadUnused();
  }
}

void Versions::Apply(const World::Change& change) {
  Model& model = models_[static_cast<size_t>(change.model)];
  const int next = model.on_disk.back() + 1;
  promises_->Log("change ", static_cast<int>(change.kind), " of ", ModelName(change.model));
  switch (change.kind) {
    case Kind::kPublishBroken:
      model.broken.insert(next);
      [[fallthrough]];
    case Kind::kPublish:
      model.on_disk.push_back(next);
      model.stamps[next] = absl::StrCat(++stamps_);
      break;
    case Kind::kMend:
      for (const int number : model.broken) model.stamps[number] = absl::StrCat(++stamps_);
      model.broken.clear();
      break;
    case Kind::kRollBack: {
      const absl::StatusOr<int> before = VersionBefore(SituationOf(change.model, {}), model.before);
      if (before.ok()) promises_->Sometimes("a model is rolled back");
      if (before.ok()) Hold(change.model, *before);
      break;
    }
    case Kind::kHold:
      Hold(change.model, 1 + change.version % model.on_disk.back());
      break;
    case Kind::kLetGo:
      model.held = std::nullopt;
      break;
    case Kind::kPin:
      model.pinned = 1 + change.version % (model.on_disk.back() + 1);
      break;
    case Kind::kUnpin:
      model.pinned = std::nullopt;
      break;
    case Kind::kLook:
      break;
  }
  (void)Follow(change.model);
}

void Versions::Hold(int model, int number) {
  Model& state = models_[static_cast<size_t>(model)];
  if (state.pinned.value_or(number) != number) return;
  const std::optional<int> held = std::exchange(state.held, number);
  state.refused.erase(number);
  if (!Follow(model).ok()) state.held = held;
}

ModelSituation Versions::SituationOf(int model, std::map<int, std::string> stamps) const {
  const Model& state = models_[static_cast<size_t>(model)];
  ModelSituation situation;
  situation.name = ModelName(model);
  situation.on_disk = state.on_disk;
  situation.stamps = std::move(stamps);
  situation.pinned = state.pinned;
  situation.held = state.held;
  situation.keep = world_.models[static_cast<size_t>(model)].keep;
  situation.refused = state.refused;
  situation.now = fibers_->Now();
  for (const LoadedVersion& loaded : state.loaded) {
    situation.loaded.push_back({.number = loaded.number,
                                .copy = loaded.copy,
                                .stamp = loaded.stamp,
                                .state = loaded.key == state.serving ? Loaded::State::kServing
                                         : loaded.kept != nullptr    ? Loaded::State::kKept
                                         : loaded.users.expired()    ? Loaded::State::kEnding
                                                                     : Loaded::State::kDraining});
  }
  return situation;
}

absl::Status Versions::Follow(int model) {
  Model& state = models_[static_cast<size_t>(model)];
  std::map<int, std::string> stamps;
  while (true) {
    const VersionChoice choice = ChooseVersion(SituationOf(model, stamps));
    if (choice.actions.empty()) {
      state.waits = choice.problem.has_value() && choice.problem->waits;
      if (state.waits) promises_->Sometimes("a version waits until an older one is gone");
      if (choice.status.ok()) CheckServed(model);
      return choice.status;
    }
    const VersionAction& action = choice.actions.front();
    if (action.kind == VersionAction::Kind::kLook) {
      stamps[action.number] = state.stamps[action.number];
    } else if (action.kind == VersionAction::Kind::kLoad) {
      const absl::Status status = Load(model, action.number);
      if (status.ok()) continue;
      promises_->Sometimes("a version is refused");
      const auto before = state.refused.find(action.number);
      state.refused[action.number] =
          RefuseVersion(before == state.refused.end() ? nullptr : &before->second,
                        stamps[action.number], status, fibers_->Now());
    } else {
      Serve(model, choice.actions);
    }
  }
}

absl::Status Versions::Load(int model, int number) {
  Model& state = models_[static_cast<size_t>(model)];
  if (state.broken.contains(number)) return absl::DataLossError("its files are cut short");
  LoadedVersion loaded;
  loaded.number = number;
  loaded.copy = state.loads[number]++;
  loaded.stamp = state.stamps[number];
  loaded.key = ModelKey(ModelName(model), number, loaded.copy);
  const std::shared_ptr<const void> lease(this,
                                          [inbox = inbox_, model, key = loaded.key](const void*) {
                                            const Unwatched unwatched;
                                            inbox->unused.emplace_back(model, key);
                                            if (Fibers::Active() != nullptr)
                                              inbox->fibers->WakeAll(inbox.get());
                                          });
  loaded.users = loaded.kept = lease;
  const Source& source =
      sources_.emplace_back(Source{loaded.key, model, Identity(number, loaded.copy)});
  if (supervisor_ != nullptr) {
    std::vector<std::unique_ptr<StepExecutor>> executors;
    for (int i = 0; i < world_.devices; ++i) executors.push_back(MakeExecutor(source, i));
    const std::string key = loaded.key;
    absl::Status status;
    {
      const Watched watched;
      status = supervisor_->AddModel(key, std::move(executors));
    }
    promises_->Check(status.ok(), "a model is taken", key);
  }
  promises_->Log(loaded.key, " is loaded");
  state.loaded.insert(state.loaded.begin(), std::move(loaded));
  return absl::OkStatus();
}

void Versions::Serve(int model, const std::vector<VersionAction>& actions) {
  Model& state = models_[static_cast<size_t>(model)];
  const auto find = [&state](const VersionAction& action) {
    return std::find_if(state.loaded.begin(), state.loaded.end(), [&](const LoadedVersion& it) {
      return it.number == action.number && it.copy == action.copy;
    });
  };
  const auto chosen = find(actions.front());
  std::shared_ptr<const void> kept = chosen->users.lock();
  if (kept == nullptr) return;  // Its last user has just gone.
  const std::string before = std::exchange(state.serving, chosen->key);
  const auto served = std::find_if(state.loaded.begin(), state.loaded.end(),
                                   [&](const LoadedVersion& it) { return it.key == before; });
  if (served != state.loaded.end()) state.before = served->number;
  chosen->kept = std::move(kept);
  std::rotate(chosen, chosen + 1, state.loaded.end());
  std::vector<std::shared_ptr<const void>> released;  // Perhaps the last of their users.
  for (auto action = actions.begin() + 1; action != actions.end(); ++action) {
    released.push_back(std::exchange(find(*action)->kept, nullptr));
  }
  promises_->Swapped(before, state.serving);
  if (before.empty()) return;
  const Watched watched;
  engine_->InheritPace(state.serving, before);
}

void Versions::UnloadUnused() {
  for (const auto& [model, key] : std::exchange(inbox_->unused, {})) {
    Model& state = models_[static_cast<size_t>(model)];
    std::erase_if(state.loaded, [&key = key](const LoadedVersion& it) { return it.key == key; });
    std::erase_if(sources_, [&key = key](const Source& it) { return it.key == key; });
    promises_->Log(key, " is unloaded");
    if (supervisor_ != nullptr) {
      const Watched watched;
      supervisor_->RemoveModel(key);
    }
    if (state.waits) (void)Follow(model);
  }
}

// A pin goes before a hold, that before the newest that is whole.
void Versions::CheckServed(int model) const {
  const Model& state = models_[static_cast<size_t>(model)];
  const int served = Serving(model).version / Identity(1, 0);
  int newest = 0;
  for (const int number : state.on_disk) {
    if (!state.broken.contains(number)) newest = number;
  }
  const int due = state.pinned.value_or(state.held.value_or(std::max(newest, served)));
  promises_->Check(served == due, "the version that is due is served",
                   absl::StrCat(ModelName(model), " serves ", served, ", due is ", due));
}

}  // namespace diffusiond
