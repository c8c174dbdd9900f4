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

SeenRow Seen(const StepRow& row) {
  return {.seed = row.spec->seed,
          .image_index = row.spec->image_index,
          .plan_row = row.plan_row,
          .network_rows = NetworkRows(row),
          .wants_x_t = row.want_x_t,
          .wants_x0_hat = row.want_x0_hat};
}

std::vector<SeenRow> Seen(absl::Span<const StepRow> rows) {
  std::vector<SeenRow> seen;
  for (const StepRow& row : rows) seen.push_back(Seen(row));
  return seen;
}

FakeExecutor::FakeExecutor(Options options)
    : options_([&options] {
        if (options.ledger == nullptr) options.ledger = std::make_shared<RegisterLedger>();
        return std::move(options);
      }()) {}

absl::Status FakeExecutor::Step(absl::Span<StepRow> rows) {
  int network_rows = 0;
  for (const StepRow& row : rows) network_rows += NetworkRows(row);
  EXPECT_GE(network_rows, 1);
  EXPECT_LE(network_rows, options_.capacity);
  if (options_.step_fault) {
    if (absl::Status status = options_.step_fault(rows); !status.ok()) return status;
  }
  for (StepRow& row : rows) {
    if (options_.row_fault) row.status = options_.row_fault(row);
    if (row.status.ok()) StepOneRow(row);
  }
  return absl::OkStatus();
}

void FakeExecutor::StepOneRow(StepRow& row) const {
  const SamplingPlan& plan = *row.spec->plan;
  const PlanRow& plan_row = plan.rows[row.plan_row];
  const size_t size = options_.channels * options_.height * options_.width;

  const NoiseKey key = {row.spec->seed, row.spec->image_index};
  const auto x = [size](std::vector<float>& values) { return std::span(values.data(), size); };

  auto registers = std::make_unique<FakeRegisters>(options_.ledger);
  registers->spec = row.spec;
  registers->next_row = row.plan_row + 1;
  if (row.before != nullptr) {
    const auto& before = static_cast<const FakeRegisters&>(*row.before);
    EXPECT_EQ(before.spec, row.spec) << "registers of another trajectory";
    EXPECT_EQ(before.next_row, row.plan_row) << "plan rows out of order";
    registers->values = before.values;
  } else {
    ASSERT_EQ(row.plan_row, 0) << "row " << row.plan_row << " came without registers";
    registers->values.resize(plan.registers * size);
    Begin(row.spec->start.get(), plan, key, x(registers->values));
  }
  Keep(row.spec->start.get(), plan, row.plan_row, key, x(registers->values));

  std::vector<float> f(size), f_null(size), z(plan_row.draws_noise ? size : 0), d(size);
  for (size_t i = 0; i < size; ++i) {
    const float x = static_cast<float>(plan_row.c_in) * registers->values[i];
    f[i] = Output(x, row.spec->class_id);
    f_null[i] = Output(x, std::nullopt);
  }
  if (row.spec->guidance.AsksWithoutClass(plan_row)) Guide(row.spec->guidance, f_null, f);
  FillRowNoise(row.spec->seed, row.spec->image_index, row.plan_row, z);
  ApplyPlanRow(plan, plan_row, f, z, registers->values, d);
  if (row.plan_row + 1 == static_cast<int>(plan.rows.size())) {
    Keep(row.spec->start.get(), plan, row.plan_row + 1, key, x(registers->values));
  }

  Frame frame{options_.channels, options_.height, options_.width, {}};
  if (row.want_x_t) {
    row.x_t = frame;
    for (size_t i = 0; i < size; ++i) {
      row.x_t->values.push_back(static_cast<float>(plan_row.preview_scale) * registers->values[i]);
    }
  }
  if (row.want_x0_hat) {
    row.x0_hat = frame;
    row.x0_hat->values = d;
  }
  row.after = std::move(registers);
}

Frame FakeExecutor::DrawAlone(const TrajectorySpec& spec) const {
  Options options;
  options.channels = options_.channels;
  options.height = options_.height;
  options.width = options_.width;
  FakeExecutor alone(options);
  std::shared_ptr<const TrajectoryRegisters> registers;
  StepRow row;
  for (size_t i = 0; i < spec.plan->rows.size(); ++i) {
    row = StepRow();
    row.spec = &spec;
    row.plan_row = static_cast<int>(i);
    row.want_x_t = i + 1 == spec.plan->rows.size();
    row.before = std::move(registers);
    EXPECT_TRUE(alone.Step(absl::MakeSpan(&row, 1)).ok());
    registers = std::move(row.after);
  }
  return *std::move(row.x_t);
}

}  // namespace diffusiond
