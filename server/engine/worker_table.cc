#include "server/engine/worker_table.h"

#include <algorithm>
#include <utility>

namespace diffusiond {

WorkerId WorkerTable::Add(std::vector<WorkerCapacity> models) {
  Worker& worker = workers_[++last_worker_];
  worker.models = std::move(models);
  for (const WorkerCapacity& capacity : worker.models) {
    models_[capacity.model].total_capacity += capacity.capacity;
  }
  CountIdle(worker, 1);
  return last_worker_;
}

bool WorkerTable::Runs(const Worker& worker, const std::string& model) {
  return std::any_of(worker.models.begin(), worker.models.end(),
                     [&model](const WorkerCapacity& capacity) { return capacity.model == model; });
}

void WorkerTable::AddModel(WorkerId id, WorkerCapacity capacity) {
  if (!Serves(id) || Runs(workers_.at(id), capacity.model)) return;
  Worker& worker = workers_.at(id);
  ModelCount& count = models_[capacity.model];
  count.total_capacity += capacity.capacity;
  if (worker.batch == 0) ++count.idle;
  worker.models.push_back(std::move(capacity));
}

void WorkerTable::RemoveModel(const std::string& model) {
  for (auto& [id, worker] : workers_) {
    std::erase_if(worker.models,
                  [&model](const WorkerCapacity& capacity) { return capacity.model == model; });
  }
  models_.erase(model);
}

void WorkerTable::CountIdle(const Worker& worker, int change) {
  for (const WorkerCapacity& capacity : worker.models) models_[capacity.model].idle += change;
}

void WorkerTable::Withdraw(Worker& worker) {
  if (worker.removed) return;
  worker.removed = true;
  if (worker.batch == 0) CountIdle(worker, -1);
  for (const WorkerCapacity& capacity : worker.models) {
    models_[capacity.model].total_capacity -= capacity.capacity;
  }
}

void WorkerTable::Remove(WorkerId id) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return;
  Withdraw(found->second);
  if (found->second.batch == 0) workers_.erase(found);
}

bool WorkerTable::Serves(WorkerId id) const {
  const auto found = workers_.find(id);
  return found != workers_.end() && !found->second.removed;
}

void WorkerTable::Begin(StepBatch& batch) {
  Worker& worker = workers_.at(batch.worker);
  batch.id = ++last_batch_;
  worker.batch = batch.id;
  worker.in_hand = {batch.model, batch.owners};
  CountIdle(worker, -1);
}

bool WorkerTable::Return(const StepBatch& batch) {
  const auto found = workers_.find(batch.worker);
  if (found == workers_.end() || found->second.batch != batch.id) return false;
  Worker& worker = found->second;
  worker.batch = 0;
  worker.in_hand = {};
  if (worker.removed) {
    workers_.erase(found);
  } else {
    CountIdle(worker, 1);
  }
  return true;
}

WorkerTable::InHand WorkerTable::Abandon(WorkerId id) {
  const auto found = workers_.find(id);
  if (found == workers_.end()) return {};
  Withdraw(found->second);
  InHand in_hand = std::move(found->second.in_hand);
  workers_.erase(found);
  return in_hand;
}

int WorkerTable::idle(const std::string& model) const {
  const auto found = models_.find(model);
  return found == models_.end() ? 0 : found->second.idle;
}

int WorkerTable::total_capacity(const std::string& model) const {
  const auto found = models_.find(model);
  return found == models_.end() ? 0 : found->second.total_capacity;
}

}  // namespace diffusiond
