#include "server/worker/worker_supervisor.h"

#include <pthread.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// Hangs are noticed late by at most this part of the watchdog's time.
constexpr int kChecksPerWatchdog = 4;
constexpr absl::Duration kLongestInterval = absl::Seconds(15);
constexpr absl::Duration kShortestInterval = absl::Milliseconds(10);

// Nobody looked for so many intervals: the process or the machine stood still (was suspended, or
// its clock was set).
constexpr int kStoodStill = 3;

// A worker that ran for so many back-offs had recovered.
constexpr int kRecovered = 10;

}  // namespace

absl::StatusOr<std::unique_ptr<WorkerSupervisor>> WorkerSupervisor::Start(
    Engine* engine, std::vector<DeviceSpec> devices, ExecutorSource* source, Options options) {
  std::unique_ptr<WorkerSupervisor> supervisor(
      new WorkerSupervisor(engine, devices, source, std::move(options)));
  for (size_t i = 0; i < devices.size(); ++i) {
    absl::StatusOr<StepExecutors> executors = source->MakeExecutors(devices[i]);
    absl::Status status = executors.status();
    if (status.ok()) status = supervisor->StartWorker(i, *std::move(executors));
    if (!status.ok()) return status;
  }
  supervisor->thread_ = std::thread([self = supervisor.get()] {
    pthread_setname_np(pthread_self(), "supervisor");
    self->Run();
  });
  return supervisor;
}

WorkerSupervisor::WorkerSupervisor(Engine* engine, const std::vector<DeviceSpec>& devices,
                                   ExecutorSource* source, Options options)
    : engine_(engine),
      source_(source),
      options_(std::move(options)),
      interval_(
          std::clamp(options_.watchdog / kChecksPerWatchdog, kShortestInterval, kLongestInterval)),
      checked_(options_.now()) {
  absl::MutexLock lock(&mu_);
  for (const DeviceSpec& device : devices) {
    Slot& slot = slots_.emplace_back();
    slot.device = device;
    slot.backoff = options_.first_backoff;
  }
}

WorkerSupervisor::~WorkerSupervisor() { (void)Stop(); }

int WorkerSupervisor::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
  int hung = hung_threads();
  std::vector<Slot> slots;
  {
    absl::MutexLock lock(&mu_);
    slots = std::move(slots_);
    slots_.clear();
  }
  // Not under the lock: a worker that fails now reports before it ends.
  for (Slot& slot : slots) {
    if (slot.worker == nullptr) continue;
    const absl::Time began = slot.worker->step_began().value_or(options_.now());
    if (!slot.worker->AwaitStepEnd(began + options_.watchdog - options_.now())) {
      slot.worker->Abandon(absl::UnavailableError("the server stops"));
      ++hung;
    }
  }
  return hung;
}

absl::Status WorkerSupervisor::StartWorker(size_t index, StepExecutors executors) {
  std::string name;
  {
    absl::MutexLock lock(&mu_);
    name = DeviceName(slots_[index].device);
    slots_[index].failure = absl::OkStatus();
  }
  DeviceWorker::Options options;
  options.now = options_.now;
  options.on_failure = [this, index](const absl::Status& status) {
    absl::MutexLock lock(&mu_);
    failed_ = true;
    if (index < slots_.size()) slots_[index].failure = status;
  };
  ASSIGN_OR_RETURN(std::unique_ptr<DeviceWorker> worker,
                   DeviceWorker::Start(name, engine_, std::move(executors), std::move(options)));
  {
    absl::MutexLock lock(&mu_);
    slots_[index].worker = std::move(worker);
    slots_[index].started = options_.now();
  }
  Tell(name, absl::OkStatus());
  return absl::OkStatus();
}

void WorkerSupervisor::Tell(const std::string& worker, const absl::Status& state) {
  if (options_.observer == nullptr) return;
  state.ok() ? options_.observer->OnWorkerUp(worker)
             : options_.observer->OnWorkerDown(worker, state);
  options_.observer->OnWorkersRunning(running());
}

int WorkerSupervisor::running() {
  absl::MutexLock lock(&mu_);
  return static_cast<int>(std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) {
    return slot.worker != nullptr && slot.failure.ok();
  }));
}

int WorkerSupervisor::hung_threads() {
  absl::MutexLock lock(&mu_);
  int hung = 0;
  for (const Slot& slot : slots_) hung += slot.hangs;
  return hung;
}

DeviceWorker* WorkerSupervisor::WorkerAt(size_t index) {
  absl::MutexLock lock(&mu_);
  return slots_[index].worker.get();
}

absl::Status WorkerSupervisor::AddModel(const std::string& model,
                                        std::vector<std::unique_ptr<StepExecutor>> executors) {
  absl::MutexLock check(&check_mu_);
  for (size_t i = 0; i < executors.size(); ++i) {
    DeviceWorker* const worker = WorkerAt(i);
    if (worker == nullptr) continue;
    RETURN_IF_ERROR(worker->AddModel(model, std::move(executors[i])));
  }
  return absl::OkStatus();
}

void WorkerSupervisor::RemoveModel(const std::string& model) {
  engine_->RemoveModel(model);
  absl::MutexLock check(&check_mu_);
  size_t count;
  {
    absl::MutexLock lock(&mu_);
    count = slots_.size();
  }
  for (size_t i = 0; i < count; ++i) {
    if (DeviceWorker* const worker = WorkerAt(i)) worker->RemoveModel(model);
  }
}

void WorkerSupervisor::NoteDown(size_t index, const absl::Status& reason) {
  std::string name;
  {
    absl::MutexLock lock(&mu_);
    Slot& slot = slots_[index];
    const absl::Time now = options_.now();
    // Of a worker that ran; one that cannot be built has not.
    const absl::Time started = std::exchange(slot.started, absl::InfiniteFuture());
    if (now - started > kRecovered * slot.backoff) slot.backoff = options_.first_backoff;
    slot.retry_at = now + slot.backoff;
    slot.backoff = std::min(2 * slot.backoff, options_.longest_backoff);
    name = DeviceName(slot.device);
  }
  Tell(name, reason);
}

void WorkerSupervisor::TakeOutFailed(size_t index) {
  std::unique_ptr<DeviceWorker> ended;
  absl::Status failure;
  {
    absl::MutexLock lock(&mu_);
    if (slots_[index].worker == nullptr || slots_[index].failure.ok()) return;
    ended = std::move(slots_[index].worker);
    failure = slots_[index].failure;
  }
  ended.reset();
  NoteDown(index, failure);
}

void WorkerSupervisor::TakeOutHung(size_t index) {
  DeviceWorker* const worker = WorkerAt(index);
  std::string name;
  {
    absl::MutexLock lock(&mu_);
    name = DeviceName(slots_[index].device);
  }
  if (worker == nullptr) return;
  const std::optional<absl::Time> began = worker->step_began();
  if (!began.has_value()) return;
  if (options_.now() - std::max(*began, awake_since_) <= options_.watchdog) return;
  const absl::Status reason = absl::InternalError(
      absl::StrCat("worker ", name, " hangs: a step took longer than --worker_watchdog, ",
                   absl::FormatDuration(options_.watchdog)));
  if (!worker->Abandon(reason)) return;
  int hangs = 0;
  {
    absl::MutexLock lock(&mu_);
    slots_[index].worker.reset();
    hangs = ++slots_[index].hangs;
  }
  NoteDown(index, hangs < options_.max_hangs
                      ? reason
                      : absl::InternalError(absl::StrCat(
                            reason.message(), "; it hung ", hangs, hangs == 1 ? " time" : " times",
                            " and is not built again: restart the server")));
}

void WorkerSupervisor::Rebuild(size_t index) {
  DeviceSpec device;
  {
    absl::MutexLock lock(&mu_);
    const Slot& slot = slots_[index];
    if (stopping_ || slot.worker != nullptr || slot.hangs >= options_.max_hangs) return;
    if (options_.now() < slot.retry_at) return;
    device = slot.device;
  }
  absl::StatusOr<StepExecutors> executors = source_->MakeExecutors(device);
  absl::Status status = executors.status();
  if (status.ok()) status = StartWorker(index, *std::move(executors));
  if (!status.ok()) NoteDown(index, status);
}

void WorkerSupervisor::Check() {
  absl::MutexLock check(&check_mu_);
  const absl::Time now = options_.now();
  if (now - checked_ > kStoodStill * interval_) awake_since_ = now;
  size_t count;
  {
    absl::MutexLock lock(&mu_);
    failed_ = false;
    count = slots_.size();
  }
  for (size_t i = 0; i < count; ++i) {
    TakeOutFailed(i);
    TakeOutHung(i);
    Rebuild(i);
  }
  checked_ = options_.now();
}

void WorkerSupervisor::Run() {
  const auto due = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || failed_; };
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      absl::Duration wait = interval_;
      for (const Slot& slot : slots_) {
        if (slot.worker == nullptr && slot.hangs < options_.max_hangs) {
          wait = std::min(wait, std::max(kShortestInterval, slot.retry_at - options_.now()));
        }
      }
      mu_.AwaitWithTimeout(absl::Condition(&due), wait);
      if (stopping_) return;
    }
    Check();
  }
}

}  // namespace diffusiond
