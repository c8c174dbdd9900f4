// The workers that the engine knows, and what each has in its hands.
#ifndef DIFFUSIOND_SERVER_ENGINE_WORKER_TABLE_H_
#define DIFFUSIOND_SERVER_ENGINE_WORKER_TABLE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/engine/step_batch.h"

namespace diffusiond {

// Thread-compatible.
class WorkerTable {
 public:
  WorkerId Add(std::vector<WorkerCapacity> models);

  // The worker can run one more model. No effect if it can already, or does not serve.
  void AddModel(WorkerId id, WorkerCapacity capacity);

  // No worker can run this model any more; what is in their hands stays there.
  void RemoveModel(const std::string& model);

  // Gets no more batches. What it has in its hands may still come back.
  void Remove(WorkerId id);

  bool Serves(WorkerId id) const;

  // Of a worker that serves.
  const std::vector<WorkerCapacity>& capacities(WorkerId id) const {
    return workers_.at(id).models;
  }

  // Notes that `batch` goes to its worker, and gives it its id.
  void Begin(StepBatch& batch);

  // Notes that it is back. False: its worker was abandoned in between, so it counts for nothing.
  bool Return(const StepBatch& batch);

  struct InHand {
    std::string model;  // Empty: nothing.
    std::vector<std::shared_ptr<Trajectory>> trajectories;
  };
  // Removes the worker at once and takes away what is in its hands.
  InHand Abandon(WorkerId id);

  // Workers that could take a batch of this model now.
  int idle(const std::string& model) const;
  // Network passes that all workers of this model carry together.
  int total_capacity(const std::string& model) const;

 private:
  struct Worker {
    std::vector<WorkerCapacity> models;
    bool removed = false;
    uint64_t batch = 0;  // In its hands; 0: none, it is idle.
    InHand in_hand;
  };
  struct ModelCount {
    int idle = 0;
    int total_capacity = 0;
  };

  static bool Runs(const Worker& worker, const std::string& model);
  void CountIdle(const Worker& worker, int change);
  void Withdraw(Worker& worker);

  WorkerId last_worker_ = 0;
  uint64_t last_batch_ = 0;
  std::map<WorkerId, Worker> workers_;
  std::map<std::string, ModelCount> models_;  // By the workers not removed.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_WORKER_TABLE_H_
