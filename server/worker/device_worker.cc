#include "server/worker/device_worker.h"

#include <pthread.h>

#include <exception>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace diffusiond {
namespace {

// The kernel keeps 15 characters and a NUL, and refuses longer names.
constexpr size_t kMaxThreadName = 15;

absl::Status StepWithoutThrowing(StepExecutor& executor, absl::Span<StepRow> rows) {
  try {
    return executor.Step(rows);
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("the step threw: ", error.what()));
  } catch (...) {
    return absl::InternalError("the step threw something that is no std::exception");
  }
}

absl::StatusOr<std::vector<WorkerCapacity>> Capacities(const StepExecutors& executors) {
  if (executors.empty()) return absl::InvalidArgumentError("executors: none, expected 1 or more");
  std::vector<WorkerCapacity> capacities;
  for (const auto& [model, executor] : executors) {
    if (executor == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("executors[", model, "]: null"));
    }
    const int capacity = executor->capacity();
    const int micro_batch = executor->micro_batch();
    if (capacity < 2 || micro_batch < 1 || capacity % micro_batch != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("executors[", model, "]: capacity ", capacity, " at micro-batch ",
                       micro_batch, ", expected a multiple of the micro-batch, 2 or more"));
    }
    capacities.push_back({.model = model, .capacity = capacity, .micro_batch = micro_batch});
  }
  return capacities;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceWorker>> DeviceWorker::Start(const std::string& device,
                                                                  Engine* engine,
                                                                  StepExecutors executors) {
  absl::StatusOr<std::vector<WorkerCapacity>> capacities = Capacities(executors);
  if (!capacities.ok()) return capacities.status();
  return std::unique_ptr<DeviceWorker>(
      new DeviceWorker(device, engine, std::move(executors), *std::move(capacities)));
}

DeviceWorker::DeviceWorker(const std::string& device, Engine* engine, StepExecutors executors,
                           std::vector<WorkerCapacity> capacities)
    : engine_(engine),
      executors_(std::move(executors)),
      id_(engine->AddWorker(std::move(capacities))),
      thread_([this, name = absl::StrCat("step ", device).substr(0, kMaxThreadName)] {
        pthread_setname_np(pthread_self(), name.c_str());
        Run();
      }) {}

DeviceWorker::~DeviceWorker() { Stop(); }

void DeviceWorker::Stop() {
  if (!thread_.joinable()) return;
  engine_->RemoveWorker(id_);
  thread_.join();
}

void DeviceWorker::Run() {
  while (std::optional<StepBatch> batch = engine_->NextBatch(id_)) {
    StepExecutor& executor = *executors_.at(batch->model);
    const absl::Status status = StepWithoutThrowing(executor, absl::MakeSpan(batch->rows));
    engine_->Complete(*std::move(batch), status);
  }
}

}  // namespace diffusiond
