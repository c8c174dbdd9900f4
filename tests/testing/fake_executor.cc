#include "tests/testing/fake_executor.h"

#include <utility>

#include "gtest/gtest.h"
#include "model/sampling/plan_update.h"
#include "model/sampling/row_noise.h"

namespace diffusiond {
namespace {

struct FakeRegisters : TrajectoryRegisters {
  explicit FakeRegisters(std::shared_ptr<RegisterLedger> ledger) : ledger(std::move(ledger)) {
    this->ledger->Create();
  }
  ~FakeRegisters() override { ledger->Release(); }

  std::shared_ptr<RegisterLedger> ledger;
  const TrajectorySpec* spec = nullptr;
  int next_row = 0;
  std::vector<float> values;  // [registers, C, H, W]
};

// The network.
float Output(float x, std::optional<int> class_id) {
  return -x + static_cast<float>(class_id.value_or(0)) / 8;
}

}  // namespace

void RegisterLedger::Change(int created, int released) {
  absl::MutexLock lock(&mu_);
  created_ += created;
  released_ += released;
}

int RegisterLedger::created() const {
  absl::MutexLock lock(&mu_);
  return created_;
}

int RegisterLedger::alive() const {
  absl::MutexLock lock(&mu_);
  return created_ - released_;
}

void RegisterLedger::AwaitCreated(int count) const {
  absl::MutexLock lock(&mu_);
  const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return created_ >= count; };
  mu_.Await(absl::Condition(&enough));
}

void RegisterLedger::AwaitNoneAlive() const {
  absl::MutexLock lock(&mu_);
  const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return created_ == released_; };
  mu_.Await(absl::Condition(&none));
}

SeenTask Seen(const StepTask& task) {
  return {.seed = task.spec->seed,
          .image_index = task.spec->image_index,
          .plan_row = task.plan_row,
          .passes = NetworkPasses(task),
          .wants_x_t = task.want_x_t,
          .wants_x0_hat = task.want_x0_hat};
}

std::vector<SeenTask> Seen(absl::Span<const StepTask> tasks) {
  std::vector<SeenTask> seen;
  for (const StepTask& task : tasks) seen.push_back(Seen(task));
  return seen;
}

FakeExecutor::FakeExecutor(Options options)
    : options_([&options] {
        if (options.ledger == nullptr) options.ledger = std::make_shared<RegisterLedger>();
        return std::move(options);
      }()) {}

absl::Status FakeExecutor::Step(absl::Span<StepTask> tasks) {
  int passes = 0;
  for (const StepTask& task : tasks) passes += NetworkPasses(task);
  EXPECT_GE(passes, 1);
  EXPECT_LE(passes, options_.capacity);
  if (options_.step_fault) {
    if (absl::Status status = options_.step_fault(tasks); !status.ok()) return status;
  }
  for (StepTask& task : tasks) {
    if (options_.task_fault) task.status = options_.task_fault(task);
    if (task.status.ok()) StepOne(task);
  }
  return absl::OkStatus();
}

void FakeExecutor::StepOne(StepTask& task) const {
  const SamplingPlan& plan = *task.spec->plan;
  const PlanRow& plan_row = plan.rows[task.plan_row];
  const size_t size = options_.channels * options_.height * options_.width;

  const NoiseKey key = {task.spec->seed, task.spec->image_index};
  const auto x = [size](std::vector<float>& values) { return std::span(values.data(), size); };

  auto registers = std::make_unique<FakeRegisters>(options_.ledger);
  registers->spec = task.spec;
  registers->next_row = task.plan_row + 1;
  if (task.before != nullptr) {
    const auto& before = static_cast<const FakeRegisters&>(*task.before);
    EXPECT_EQ(before.spec, task.spec) << "registers of another trajectory";
    EXPECT_EQ(before.next_row, task.plan_row) << "plan rows out of order";
    registers->values = before.values;
  } else {
    ASSERT_EQ(task.plan_row, 0) << "row " << task.plan_row << " came without registers";
    registers->values.resize(plan.registers * size);
    Begin(task.spec->start.get(), plan, key, x(registers->values));
  }
  KeepKnown(task.spec->start.get(), plan, task.plan_row, key, x(registers->values));

  std::vector<float> f(size), f_null(size), z(plan_row.draws_noise ? size : 0), d(size);
  for (size_t i = 0; i < size; ++i) {
    const float x = static_cast<float>(plan_row.c_in) * registers->values[i];
    f[i] = Output(x, task.spec->class_id);
    f_null[i] = Output(x, std::nullopt);
  }
  if (task.spec->guidance.AsksWithoutClass(plan_row)) Guide(task.spec->guidance, f_null, f);
  FillRowNoise(task.spec->seed, task.spec->image_index, task.plan_row, z);
  ApplyPlanRow(plan, plan_row, f, z, registers->values, d);
  if (task.plan_row + 1 == static_cast<int>(plan.rows.size())) {
    KeepKnown(task.spec->start.get(), plan, task.plan_row + 1, key, x(registers->values));
  }

  Frame frame{options_.channels, options_.height, options_.width, {}};
  if (task.want_x_t) {
    task.x_t = frame;
    for (size_t i = 0; i < size; ++i) {
      task.x_t->values.push_back(static_cast<float>(plan_row.preview_scale) * registers->values[i]);
    }
  }
  if (task.want_x0_hat) {
    task.x0_hat = frame;
    task.x0_hat->values = d;
  }
  task.after = std::move(registers);
}

Frame FakeExecutor::DrawAlone(const TrajectorySpec& spec) const {
  Options options;
  options.channels = options_.channels;
  options.height = options_.height;
  options.width = options_.width;
  FakeExecutor alone(options);
  std::shared_ptr<const TrajectoryRegisters> registers;
  StepTask task;
  for (size_t i = 0; i < spec.plan->rows.size(); ++i) {
    task = StepTask();
    task.spec = &spec;
    task.plan_row = static_cast<int>(i);
    task.want_x_t = i + 1 == spec.plan->rows.size();
    task.before = std::move(registers);
    EXPECT_TRUE(alone.Step(absl::MakeSpan(&task, 1)).ok());
    registers = std::move(task.after);
  }
  return *std::move(task.x_t);
}

}  // namespace diffusiond
