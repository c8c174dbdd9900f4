#include "server/worker/device_worker.h"

#include <pthread.h>

#include <algorithm>
#include <exception>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// The kernel keeps 15 characters and a NUL, and refuses longer names.
constexpr size_t kMaxThreadName = 15;

absl::Status StepWithoutThrowing(StepExecutor& executor, absl::Span<StepTask> tasks) {
  try {
    return executor.Step(tasks);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("the step ran out of memory");
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("the step threw: ", error.what()));
  } catch (...) {
    return absl::InternalError("the step threw something that is no std::exception");
  }
}

absl::StatusOr<WorkerCapacity> CapacityOf(const std::string& model, const StepExecutor* executor) {
  if (executor == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("executors[", model, "]: null"));
  }
  const int capacity = executor->capacity();
  const int micro_batch = executor->micro_batch();
  if (capacity < 2 || micro_batch < 0 || capacity % std::max(1, micro_batch) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("executors[", model, "]: capacity ", capacity, " at micro-batch ", micro_batch,
                     ", expected a multiple of the micro-batch, 2 or more"));
  }
  return WorkerCapacity{.model = model, .capacity = capacity, .micro_batch = micro_batch};
}

absl::StatusOr<std::vector<WorkerCapacity>> Capacities(const StepExecutors& executors) {
  std::vector<WorkerCapacity> capacities;
  for (const auto& [model, executor] : executors) {
    ASSIGN_OR_RETURN(WorkerCapacity capacity, CapacityOf(model, executor.get()));
    capacities.push_back(std::move(capacity));
  }
  return capacities;
}

}  // namespace

// One side or the other takes a step's end: the thread, when the step ends, or Abandon.
enum class Phase { kIdle, kStepping, kAbandoned };

struct DeviceWorker::State {
  // A step of this model begins. Null: the model was taken away.
  std::shared_ptr<StepExecutor> Begin(const std::string& model, absl::Time now) {
    absl::MutexLock lock(&mu);
    const auto found = executors.find(model);
    if (found == executors.end()) return nullptr;
    phase = Phase::kStepping;
    step_began = now;
    return found->second;
  }

  // Goes from kStepping to `next`; false: the other side was first.
  bool EndStep(Phase next) {
    absl::MutexLock lock(&mu);
    if (phase != Phase::kStepping) return false;
    phase = next;
    return true;
  }

  Engine* engine = nullptr;
  absl::Mutex mu;
  std::map<std::string, std::shared_ptr<StepExecutor>> executors ABSL_GUARDED_BY(mu);
  Phase phase ABSL_GUARDED_BY(mu) = Phase::kIdle;
  absl::Time step_began ABSL_GUARDED_BY(mu);
  Options options;
  std::string thread_name;
  WorkerId id = 0;
};

absl::StatusOr<std::unique_ptr<DeviceWorker>> DeviceWorker::Start(const std::string& device,
                                                                  Engine* engine,
                                                                  StepExecutors executors,
                                                                  Options options) {
  ASSIGN_OR_RETURN(std::vector<WorkerCapacity> capacities, Capacities(executors));
  auto state = std::make_shared<State>();
  state->engine = engine;
  {
    absl::MutexLock lock(&state->mu);
    for (auto& [model, executor] : executors) state->executors[model] = std::move(executor);
  }
  state->options = std::move(options);
  state->thread_name = absl::StrCat("step ", device).substr(0, kMaxThreadName);
  state->id = engine->AddWorker(std::move(capacities));
  return std::unique_ptr<DeviceWorker>(new DeviceWorker(std::move(state)));
}

DeviceWorker::DeviceWorker(std::shared_ptr<State> state)
    : state_(std::move(state)), thread_([state = state_] {
        pthread_setname_np(pthread_self(), state->thread_name.c_str());
        Run(*state);
      }) {}

DeviceWorker::~DeviceWorker() { Stop(); }

void DeviceWorker::Stop() {
  if (!thread_.joinable()) return;
  state_->engine->RemoveWorker(state_->id);
  thread_.join();
}

absl::Status DeviceWorker::AddModel(const std::string& model,
                                    std::unique_ptr<StepExecutor> executor) {
  ASSIGN_OR_RETURN(WorkerCapacity capacity, CapacityOf(model, executor.get()));
  {
    absl::MutexLock lock(&state_->mu);
    if (!state_->executors.emplace(model, std::move(executor)).second) return absl::OkStatus();
  }
  state_->engine->AddModel(state_->id, std::move(capacity));
  return absl::OkStatus();
}

void DeviceWorker::RemoveModel(const std::string& model) {
  std::shared_ptr<StepExecutor> removed;  // Destroyed after the lock.
  absl::MutexLock lock(&state_->mu);
  const auto found = state_->executors.find(model);
  if (found == state_->executors.end()) return;
  removed = std::move(found->second);
  state_->executors.erase(found);
}

std::optional<absl::Time> DeviceWorker::step_began() const {
  absl::MutexLock lock(&state_->mu);
  if (state_->phase != Phase::kStepping) return std::nullopt;
  return state_->step_began;
}

bool DeviceWorker::AwaitStepEnd(absl::Duration limit) const {
  State& state = *state_;
  absl::MutexLock lock(&state.mu);
  const auto ended = [&state]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) {
    return state.phase != Phase::kStepping;
  };
  return state.mu.AwaitWithTimeout(absl::Condition(&ended), limit);
}

bool DeviceWorker::Abandon(const absl::Status& reason) {
  if (!state_->EndStep(Phase::kAbandoned)) return false;
  thread_.detach();
  state_->engine->AbandonWorker(state_->id, reason);
  return true;
}

void DeviceWorker::Run(State& state) {
  std::optional<absl::Time> ended;
  while (std::optional<StepBatch> batch = state.engine->NextBatch(state.id)) {
    const absl::Time began = state.options.now();
    std::shared_ptr<StepExecutor> executor = state.Begin(batch->model, began);
    if (executor == nullptr) {
      state.engine->Complete(*std::move(batch), absl::UnavailableError("the model was removed"));
      continue;
    }
    if (ended.has_value() && !batch->waited) batch->overhead = began - *ended;
    const absl::Status status = StepWithoutThrowing(*executor, absl::MakeSpan(batch->tasks));
    // Abandoned: the engine and the clock may be gone, and nobody waits for this batch.
    if (!state.EndStep(Phase::kIdle)) return;
    ended = state.options.now();
    executor.reset();  // The batch may be the last that needs it.
    if (!status.ok()) state.engine->RemoveWorker(state.id);
    state.engine->Complete(*std::move(batch), status);
    if (status.ok()) continue;
    if (state.options.on_failure) state.options.on_failure(status);
    return;
  }
}

}  // namespace diffusiond
