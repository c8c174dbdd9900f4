#include "tests/simulation/machine.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/engine/step_policy.h"

namespace diffusiond {
namespace {

using Kind = World::Fault::Kind;

constexpr absl::Duration kAway = absl::Milliseconds(50);  // Of a lone worker that has left.

std::string TenantName(int tenant) { return absl::StrCat("tenant", tenant); }

std::vector<DeviceSpec> Specs(int devices) {
  std::vector<DeviceSpec> specs(static_cast<size_t>(devices));
  for (int i = 0; i < devices; ++i) specs[static_cast<size_t>(i)].index = i;
  return specs;
}

}  // namespace

Machine::Machine(const World& world, Fibers* fibers, Promises* promises)
    : world_(world),
      fibers_(fibers),
      promises_(promises),
      metrics_(promises),
      devices_(world, fibers, promises),
      versions_(world, fibers, promises, &devices_) {
  for (const DeviceSpec& device : Specs(world.devices)) {
    indices_[DeviceName(device)] = device.index;
  }
}

Machine::~Machine() = default;

std::unique_ptr<Engine> Machine::MakeEngine() {
  StepPolicy::Options policy;
  policy.ageing = world_.ageing;
  policy.patience = world_.patience;
  policy.high_share = world_.high_share;
  for (const auto& [tenant, weight] : world_.weights) {
    policy.tenant_weights[TenantName(tenant)] = weight;
  }
  Engine::Options options;
  options.max_trajectories = world_.max_trajectories;
  options.queue_share = world_.queue_share;
  options.high_priority_share = world_.high_share;
  options.max_resident_trajectories = world_.max_resident;
  options.make_policy = [policy] { return std::make_unique<StepPolicy>(policy); };
  options.frame_threads = world_.frame_threads;
  options.max_waiting_previews = world_.max_waiting_previews;
  options.metrics = &metrics_;
  options.now = [fibers = fibers_] { return fibers->Now(); };
  return Engine::Create(std::move(options)).value();
}

void Machine::Start() {
  engine_ = MakeEngine();
  if (world_.devices > 0) {
    WorkerSupervisor::Options options;
    options.watchdog = world_.watchdog;
    options.first_backoff = world_.first_backoff;
    options.longest_backoff = world_.longest_backoff;
    options.max_hangs = world_.max_hangs;
    options.now = [fibers = fibers_] { return fibers->Now(); };
    options.observer = this;
    supervisor_ =
        WorkerSupervisor::Start(engine_.get(), Specs(world_.devices), this, std::move(options))
            .value();
  }
  versions_.LoadAll(engine_.get(), supervisor_.get());
  versions_.Start();
  for (int i = 0; i < world_.lone_workers; ++i) {
    const int device = world_.devices + i;
    StartAlone(device);
  }
}

void Machine::StartAlone(int device) {
  const Unwatched unwatched;
  lone_workers_.push_back(
      fibers_->Spawn(absl::StrCat("lone worker ", device), [this, device] { WorkAlone(device); }));
}

absl::StatusOr<StepExecutors> Machine::MakeExecutors(const DeviceSpec& device) {
  if (devices_.NextBuild(device.index) != nullptr) {
    return absl::UnavailableError("the device is not there");
  }
  return versions_.MakeExecutors(device.index);
}

void Machine::OnWorkerUp(const std::string& worker) {
  const Unwatched unwatched;
  const int device = indices_.at(worker);
  const Built& built = built_[device];
  promises_->Check(fibers_->Now() - built.down >= world_.first_backoff,
                   "a device rests before it is built again", worker);
  promises_->Check(built.hangs < world_.max_hangs, "a device that hangs often is not built again",
                   worker);
  promises_->Up(device);
}

void Machine::OnWorkerDown(const std::string& worker, const absl::Status& reason) {
  const Unwatched unwatched;
  Built& built = built_[indices_.at(worker)];
  built.down = fibers_->Now();
  if (absl::StrContains(reason.message(), "hangs")) ++built.hangs;
  promises_->Lost(indices_.at(worker));
}

void Machine::WorkAlone(int device) {
  StepExecutors executors = versions_.MakeExecutors(device);
  std::vector<WorkerCapacity> capacities;
  for (const auto& [key, executor] : executors) {
    capacities.push_back({key, executor->capacity(), executor->micro_batch()});
  }
  while (true) {
    const WorkerId id = engine_->AddWorker(capacities);
    promises_->Up(device);
    while (true) {
      std::optional<StepBatch> batch = engine_->NextBatch(id);
      if (!batch.has_value()) {
        promises_->Down(device);
        return engine_->RemoveWorker(id);
      }
      const Stays stays = StepAlone(device, id, executors, *std::move(batch));
      if (stays == Stays::kGivenUp) return;  // Another works in its place.
      if (stays == Stays::kNo) break;
    }
    fibers_->Sleep(kAway);
  }
}

Machine::Stays Machine::StepAlone(int device, WorkerId id, StepExecutors& executors,
                                  StepBatch batch) {
  const World::Fault* const fault = devices_.NextStep(device);
  auto& executor = static_cast<SimulatedExecutor&>(*executors.at(batch.model));
  Stays stays = Stays::kYes;
  auto given_up = std::make_shared<std::atomic<bool>>(false);
  auto over = std::make_shared<std::atomic<bool>>(false);
  if (fault != nullptr && fault->kind == Kind::kSlow) {
    // Its watchdog.
    fibers_->Spawn("watchdog", [this, device, id, given_up, over] {
      fibers_->Sleep(world_.watchdog + absl::Milliseconds(1));
      if (*over) return;
      *given_up = true;
      promises_->Lost(device);
      engine_->AbandonWorker(id, absl::UnavailableError("it hangs"));
      StartAlone(device);
    });
  } else if (fault != nullptr && fault->kind == Kind::kLeaves) {
    promises_->Lost(device);
    engine_->RemoveWorker(id);
    promises_->Sometimes("a worker leaves with a batch in its hands");
    stays = Stays::kNo;
  }
  absl::Status status;
  try {
    status = executor.Step(absl::MakeSpan(batch.tasks), fault);
  } catch (const std::bad_alloc&) {
    status = absl::ResourceExhaustedError("no memory");
  } catch (const std::exception& error) {
    status = absl::InternalError(error.what());
  }
  *over = true;
  if (*given_up) promises_->Sometimes("a worker comes back with a batch that is no longer its own");
  engine_->Complete(std::move(batch), status);
  return *given_up ? Stays::kGivenUp : stays;
}

bool Machine::HasFuture() {
  return promises_->AnyWorker() || world_.lone_workers > 0 ||
         supervisor_->hung_threads() < world_.devices * world_.max_hangs;
}

bool Machine::HungForGood() const {
  return std::any_of(built_.begin(), built_.end(), [this](const auto& device) {
    return device.second.hangs >= world_.max_hangs;
  });
}

bool Machine::Drain(absl::Duration patience) {
  const absl::Time until = fibers_->Now() + patience;
  promises_->EndAllAt(until);
  const bool all_ended = engine_->Drain(until);
  promises_->Check(!all_ended || promises_->all_told(), "a drain lasts until all have ended", "");
  return all_ended;
}

void Machine::Stop() {
  versions_.Stop();
  promises_->EndAllAt(fibers_->Now());
  engine_->Shutdown();
  supervisor_.reset();
  const Unwatched unwatched;
  for (size_t i = 0; i < lone_workers_.size(); ++i) fibers_->Join(lone_workers_[i]);
}

}  // namespace diffusiond
