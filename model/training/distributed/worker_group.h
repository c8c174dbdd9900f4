// The processes of a data-parallel run, over c10d: Gloo between CPUs, NCCL between GPUs.
#ifndef DIFFUSIOND_MODEL_TRAINING_DISTRIBUTED_WORKER_GROUP_H_
#define DIFFUSIOND_MODEL_TRAINING_DISTRIBUTED_WORKER_GROUP_H_

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/training/distributed/worker_environment.h"

namespace diffusiond {

// Every process calls the same methods in the same order, from one thread at a time. UNAVAILABLE
// from any of them: a process is gone, or silent for longer than the timeout; the group is then of
// no use, and the process should end without waiting for it (see ExitWithoutWaiting).
class WorkerGroup {
 public:
  // Waits for all others, at most `timeout`, which is also how long each later operation may take.
  // UNIMPLEMENTED: this LibTorch has no collectives for the device. From then on the process
  // ignores SIGPIPE.
  static absl::StatusOr<std::unique_ptr<WorkerGroup>> Join(const WorkerEnvironment& environment,
                                                           torch::Device device,
                                                           absl::Duration timeout);
  ~WorkerGroup();

  int rank() const { return environment_.rank; }
  int size() const { return environment_.size; }

  // Begins to sum `tensor`, contiguous and on the device, over all processes in place; the returned
  // function waits for it.
  using Waiter = std::function<absl::Status()>;
  absl::StatusOr<Waiter> StartSum(const torch::Tensor& tensor);
  absl::Status Sum(const torch::Tensor& tensor);
  // Rank 0's values for all.
  absl::Status Broadcast(const torch::Tensor& tensor);

  // OK if all are: each gives its own status, and gets it back if it is not OK. ABORTED: another's
  // is not, and its own messages say why.
  absl::Status AgreeOk(const absl::Status& mine);
  // FAILED_PRECONDITION, everywhere, unless all have the same text; `what` names it.
  absl::Status AgreeOnText(const std::string& what, const std::string& text);

  torch::Device device() const { return device_; }

 private:
  struct Collectives;
  WorkerGroup(const WorkerEnvironment& environment, torch::Device device,
              std::unique_ptr<Collectives> collectives);

  const WorkerEnvironment environment_;
  const torch::Device device_;
  const std::unique_ptr<Collectives> collectives_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DISTRIBUTED_WORKER_GROUP_H_
