// Which process of a data-parallel run this is, as its launcher says.
#ifndef DIFFUSIOND_MODEL_TRAINING_DISTRIBUTED_WORKER_ENVIRONMENT_H_
#define DIFFUSIOND_MODEL_TRAINING_DISTRIBUTED_WORKER_ENVIRONMENT_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace diffusiond {

struct WorkerEnvironment {
  int rank = 0;        // In 0 .. size - 1; 0 writes.
  int size = 1;        // Processes in all; 1: nothing is distributed.
  int local_rank = 0;  // Among those of this machine: its GPU.
  int local_size = 1;  // Processes on this machine, which share its cores.
  // Where the processes meet; rank 0 listens there, unless the launcher does.
  std::string master_address;
  int master_port = 0;
  bool launcher_listens = false;
  std::string attempt;  // Counts the launcher's restarts; keeps their messages apart.

  bool distributed() const { return size > 1; }
};

// From WORLD_SIZE, RANK, LOCAL_RANK (default 0), LOCAL_WORLD_SIZE (default 1), MASTER_ADDR and
// MASTER_PORT, as torchrun and
// Kubeflow's PyTorchJob set them; a Kubernetes Indexed Job gives RANK as JOB_COMPLETION_INDEX.
// Without WORLD_SIZE, or with 1, the process is alone. INVALID_ARGUMENT names the variable.
// `get` is getenv: null if a variable is not set.
absl::StatusOr<WorkerEnvironment> ReadWorkerEnvironment(
    const std::function<const char*(const char*)>& get);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DISTRIBUTED_WORKER_ENVIRONMENT_H_
