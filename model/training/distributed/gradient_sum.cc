#include "model/training/distributed/gradient_sum.h"

#include <torch/csrc/autograd/utils/lambda_post_hook.h>

#include <utility>

namespace diffusiond {

struct GradientSum::Shared {
  struct Bucket {
    torch::Tensor gradient;  // A view.
    size_t parameters = 0;
    size_t missing = 0;  // Parameters without their gradient in this step.
  };

  void ParameterDone(size_t bucket) {
    if (!armed) return;
    --buckets[bucket].missing;
    while (next < buckets.size() && buckets[next].missing == 0) StartNext();
  }

  void StartNext() { Start(buckets[next++].gradient); }

  void Start(const torch::Tensor& tensor) {
    if (!status.ok()) return;
    absl::StatusOr<WorkerGroup::Waiter> waiter = workers->StartSum(tensor);
    if (waiter.ok()) {
      waiters.push_back(*std::move(waiter));
    } else {
      status = waiter.status();
    }
  }

  WorkerGroup* workers = nullptr;
  std::vector<Bucket> buckets;
  bool armed = false;
  size_t next = 0;  // The first bucket whose sum has not begun.
  std::vector<WorkerGroup::Waiter> waiters;
  absl::Status status;
};

GradientSum::GradientSum(torch::nn::Module* module, const torch::Tensor& gradient,
                         WorkerGroup* workers, int64_t bucket_bytes)
    : shared_(std::make_shared<Shared>()) {
  shared_->workers = workers;
  const std::vector<torch::Tensor> parameters = module->parameters();
  std::vector<size_t> bucket_of(parameters.size());
  const int64_t limit = bucket_bytes / static_cast<int64_t>(sizeof(float));
  int64_t end = gradient.numel(), begin = end;
  size_t count = 0;
  for (size_t i = parameters.size(); i-- > 0;) {
    begin -= parameters[i].numel();
    bucket_of[i] = shared_->buckets.size();
    ++count;
    if (end - begin >= limit || i == 0) {
      shared_->buckets.push_back(
          {.gradient = gradient.narrow(0, begin, end - begin), .parameters = count, .missing = 0});
      end = begin;
      count = 0;
    }
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    std::shared_ptr<torch::autograd::Node> accumulator =
        torch::autograd::impl::grad_accumulator(parameters[i]);
    accumulator->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
        [shared = shared_, bucket = bucket_of[i]](const torch::autograd::variable_list& outputs,
                                                  const torch::autograd::variable_list&) {
          shared->ParameterDone(bucket);
          return outputs;
        }));
    accumulators_.push_back(std::move(accumulator));
  }
}

GradientSum::~GradientSum() { shared_->armed = false; }

size_t GradientSum::buckets() const { return shared_->buckets.size(); }

size_t GradientSum::begun() const { return shared_->next; }

void GradientSum::Arm() {
  for (Shared::Bucket& bucket : shared_->buckets) bucket.missing = bucket.parameters;
  shared_->next = 0;
  shared_->waiters.clear();
  shared_->armed = true;
}

absl::Status GradientSum::Finish(const torch::Tensor& also) {
  shared_->armed = false;
  while (shared_->next < shared_->buckets.size()) shared_->StartNext();
  shared_->Start(also);
  absl::Status status = shared_->status;
  for (const WorkerGroup::Waiter& wait : shared_->waiters) status.Update(wait());
  return status;
}

}  // namespace diffusiond
