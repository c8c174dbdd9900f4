#include "tests/simulation/simulated_device.h"

#include <memory>
#include <new>
#include <stdexcept>

#include "tests/simulation/order.h"

namespace diffusiond {
namespace {

using Kind = World::Fault::Kind;

}  // namespace

SimulatedDevices::SimulatedDevices(const World& world, Fibers* fibers, Promises* promises)
    : world(world), fibers(fibers), promises(promises) {
  for (const World::Fault& fault : world.faults) {
    auto& faults = fault.kind == Kind::kUnbuilt ? build_faults_ : step_faults_;
    faults[{fault.device, fault.at}] = &fault;
  }
}

const World::Fault* SimulatedDevices::NextStep(int device) {
  const Unwatched unwatched;
  const auto found = step_faults_.find({device, used_[device].steps++});
  return found == step_faults_.end() ? nullptr : found->second;
}

const World::Fault* SimulatedDevices::NextBuild(int device) {
  const Unwatched unwatched;
  const auto found = build_faults_.find({device, used_[device].builds++});
  return found == build_faults_.end() ? nullptr : found->second;
}

SimulatedExecutor::SimulatedExecutor(SimulatedDevices* devices, int device, std::string model,
                                     int version, World::Model shape)
    : devices_(devices),
      device_(device),
      model_(std::move(model)),
      version_(version),
      shape_(shape) {
  const Unwatched unwatched;
  ++devices_->executors_alive;
}

SimulatedExecutor::~SimulatedExecutor() {
  const Unwatched unwatched;
  --devices_->executors_alive;
}

absl::Duration SimulatedExecutor::TimeOf(absl::Span<const StepTask> tasks) const {
  int passes = 0;
  for (const StepTask& task : tasks) passes += NetworkPasses(task);
  const int calls = (passes + shape_.micro_batch - 1) / shape_.micro_batch;
  return shape_.step + calls * shape_.micro_batch * shape_.pass;
}

absl::Status SimulatedExecutor::Step(absl::Span<StepTask> tasks, const World::Fault* fault) {
  const UnwatchedPtr<Promises>& promises = devices_->promises;
  const Promises::Step step = promises->StepBegins(device_, model_, shape_.capacity, tasks);
  absl::Duration time = TimeOf(tasks);
  if (fault != nullptr && fault->kind == Kind::kSlow) time += fault->longer;
  devices_->fibers->Sleep(time);
  const bool fails =
      fault != nullptr && (fault->kind == Kind::kFails || fault->kind == Kind::kThrows ||
                           fault->kind == Kind::kNoMemory);
  // A step that throws has done half of its work.
  const size_t done = !fails ? tasks.size() : fault->kind == Kind::kThrows ? tasks.size() / 2 : 0;
  for (size_t i = 0; i < done; ++i) Advance(tasks[i]);
  promises->StepEnds(step, tasks,
                     !fails                           ? Promises::StepEnd::kAdvanced
                     : fault->kind == Kind::kNoMemory ? Promises::StepEnd::kNoMemory
                                                      : Promises::StepEnd::kFailed);
  if (!fails) return absl::OkStatus();
  if (fault->kind == Kind::kFails) return absl::InternalError("the device is lost");
  if (fault->kind == Kind::kThrows) throw std::runtime_error("the device is on fire");
  if (fault->at % 2 == 0) throw std::bad_alloc();
  return absl::ResourceExhaustedError("the device has no memory left");
}

void SimulatedExecutor::Advance(StepTask& task) const {
  const Order& order = devices_->promises->orders()[task.spec->seed];
  const int image = static_cast<int>(task.spec->image_index);
  if (image == 0 && task.plan_row == order.asked->bad_row) {
    task.status = absl::InternalError("the network's output is not finite");
    return;
  }
  auto registers = std::make_unique<SimulatedRegisters>(&devices_->registers_alive);
  registers->seed = order.seed;
  registers->image = image;
  registers->row = task.plan_row + 1;
  const auto* before = static_cast<const SimulatedRegisters*>(task.before.get());
  registers->value = Order::After(before == nullptr ? order.Register(image, 0) : before->value,
                                  task.plan_row, version_);
  if (task.want_x_t) task.x_t = FrameOf(registers->value);
  if (task.want_x0_hat) task.x0_hat = FrameOf(registers->value + 1);
  task.after = std::move(registers);
}

}  // namespace diffusiond
