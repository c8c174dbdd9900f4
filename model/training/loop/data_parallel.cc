#include "model/training/loop/data_parallel.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// What processes tell each other in a step, as one vector of doubles to be summed: the loss,
// whether to stop, and three numbers for each image of the batch. Each process fills in its own
// images and leaves those of others 0. Doubles hold an index of any data set, and a float, exactly.
constexpr int64_t kOfBatch = 2, kOfImage = 3;

torch::Tensor Pack(const StepOutcome& share, int64_t batch_size, int64_t rank) {
  torch::Tensor packed = torch::zeros({kOfBatch + kOfImage * batch_size}, torch::kFloat64);
  double* values = packed.data_ptr<double>();
  values[0] = share.loss;
  values[1] = share.stop ? 1 : 0;
  double* image = values + kOfBatch + kOfImage * rank * static_cast<int64_t>(share.images.size());
  for (size_t i = 0; i < share.images.size(); ++i, image += kOfImage) {
    image[0] = static_cast<double>(share.images[i]);
    image[1] = static_cast<double>(share.timesteps[i]);
    image[2] = share.losses[i];
  }
  return packed;
}

void Unpack(const torch::Tensor& packed, StepOutcome* batch) {
  const double* values = packed.data_ptr<double>();
  batch->loss = values[0];
  batch->stop = values[1] > 0;
  batch->images.clear();
  batch->timesteps.clear();
  batch->losses.clear();
  for (const double* image = values + kOfBatch; image != values + packed.numel();
       image += kOfImage) {
    batch->images.push_back(static_cast<int64_t>(image[0]));
    batch->timesteps.push_back(static_cast<int64_t>(image[1]));
    batch->losses.push_back(static_cast<float>(image[2]));
  }
}

}  // namespace

absl::Status DataParallel::CheckDivides(int64_t batch_size, int64_t accumulate) const {
  if (batch_size % (size() * accumulate) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--batch_size is ", batch_size, "; it must be a multiple of ", size() * accumulate, " (",
      size(), size() == 1 ? " process" : " processes", " x --accumulate=", accumulate, ")"));
}

absl::Status DataParallel::ShareState(const absl::Status& ready, const std::string& fingerprint,
                                      TrainingState* state) {
  if (workers_ == nullptr) return ready;
  absl::Status status = workers_->AgreeOk(ready);
  if (status.ok()) status = workers_->AgreeOnText("network, data or options", fingerprint);
  torch::Tensor counts = torch::tensor({state->step, state->skipped_steps}, torch::kInt64);
  const torch::Device device = workers_->device();
  std::vector<std::pair<torch::Tensor, torch::Tensor>> sent = {{counts, counts.to(device)}};
  for (auto& [name, tensor] : StateTensors(state)) {
    sent.emplace_back(*tensor, tensor->to(device));
  }
  for (auto& [tensor, on_device] : sent) {
    if (status.ok()) status = workers_->Broadcast(on_device);
    if (status.ok()) tensor.copy_(on_device);
  }
  state->step = counts[0].item<int64_t>();
  state->skipped_steps = counts[1].item<int64_t>();
  return status;
}

void DataParallel::SumGradients(torch::nn::Module* trained, const torch::Tensor& gradient) {
  if (workers_ != nullptr) sum_ = std::make_unique<GradientSum>(trained, gradient, workers_);
}

void DataParallel::BeforeLastBackward() {
  if (sum_ != nullptr) sum_->Arm();
}

absl::Status DataParallel::FinishStep(int64_t batch_size, StepOutcome* outcome) {
  if (sum_ == nullptr) return absl::OkStatus();
  const torch::Tensor packed = Pack(*outcome, batch_size, rank()).to(workers_->device());
  RETURN_IF_ERROR(sum_->Finish(packed));
  Unpack(packed.to(torch::kCPU), outcome);
  return absl::OkStatus();
}

}  // namespace diffusiond
