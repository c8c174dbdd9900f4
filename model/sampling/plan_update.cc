#include "model/sampling/plan_update.h"

#include <algorithm>
#include <cstddef>

namespace diffusiond {
namespace {

// Registers that a plan may have; Heun needs 2, fourth-order multistep 4.
constexpr int kMaxRegisters = 8;

}  // namespace

void ApplyPlanRow(const SamplingPlan& plan, const PlanRow& row, std::span<const float> f,
                  std::span<const float> z, std::span<float> registers, std::span<float> d) {
  const size_t n = f.size();
  const int register_count = std::min(plan.registers, kMaxRegisters);
  const int columns = register_count + 3;
  for (size_t i = 0; i < n; ++i) {
    const double x = registers[i];
    const double clean = std::clamp(row.d_x * x + row.d_f * f[i], -row.clip_range, row.clip_range);
    d[i] = static_cast<float>(clean);
    double in[kMaxRegisters + 3];
    for (int r = 0; r < register_count; ++r) in[r] = registers[static_cast<size_t>(r) * n + i];
    in[register_count] = clean;
    in[register_count + 1] = f[i];
    in[register_count + 2] = z.empty() ? 0 : z[i];
    for (int r = 0; r < register_count; ++r) {
      double sum = 0;
      for (int c = 0; c < columns; ++c) sum += row.update[r * columns + c] * in[c];
      registers[static_cast<size_t>(r) * n + i] = static_cast<float>(sum);
    }
  }
}

}  // namespace diffusiond
