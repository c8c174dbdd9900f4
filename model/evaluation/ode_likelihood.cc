#include "model/evaluation/ode_likelihood.h"

#include <cmath>
#include <numbers>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/diffusion/parameterization.h"
#include "model/evaluation/random_streams.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// A point of the path of every row: x, and the integral of the divergence so far. The same type is
// the derivative by g = log tan(phi / 2), which is sin(phi) d/dphi.
struct State {
  std::vector<double> x;           // [rows * n].
  std::vector<double> divergence;  // [rows].
};

// a + factor * b.
State Moved(const State& a, double factor, const State& b) {
  State sum = a;
  for (size_t i = 0; i < sum.x.size(); ++i) sum.x[i] += factor * b.x[i];
  for (size_t i = 0; i < sum.divergence.size(); ++i) {
    sum.divergence[i] += factor * b.divergence[i];
  }
  return sum;
}

class Flow {
 public:
  Flow(const OdeOptions& options, const NoiseAngles& angles, std::vector<float> probe,
       std::span<const int64_t> labels, NetworkVjp* network)
      : options_(options),
        angles_(angles),
        probe_(std::move(probe)),
        labels_(labels),
        network_(network),
        x_(probe_.size()),
        f_(probe_.size()),
        vjp_(probe_.size()) {}

  absl::StatusOr<State> Derivative(const State& state, double phi) {
    // v = v_x x + v_f F, as x_0 and eps are linear in both.
    const double signal = std::cos(phi), noise = std::sin(phi);
    const Parameterization p = Parameterize(options_.prediction_type, signal * signal);
    const double v_x = signal * p.eps_x - noise * p.x0_x;
    const double v_f = signal * p.eps_f - noise * p.x0_f;

    for (size_t i = 0; i < x_.size(); ++i) x_[i] = static_cast<float>(state.x[i]);
    const double level =
        options_.tells_log_sigma ? ToldLogSigma(signal, noise) : angles_.TimestepAt(phi);
    const std::vector<float> told(labels_.size(), static_cast<float>(level));
    RETURN_IF_ERROR(network_->Evaluate(x_, told, labels_, probe_, f_, vjp_));
    State derivative{std::vector<double>(x_.size()), std::vector<double>(labels_.size())};
    const size_t n = x_.size() / labels_.size();
    for (size_t i = 0; i < x_.size(); ++i) {
      derivative.x[i] = noise * (v_x * state.x[i] + v_f * f_[i]);
      const double trace = v_x + v_f * static_cast<double>(vjp_[i]) * probe_[i];
      derivative.divergence[i / n] += noise * trace;
    }
    for (size_t row = 0; row < labels_.size(); ++row) {
      if (std::isfinite(derivative.divergence[row])) continue;
      return absl::InternalError(
          absl::StrCat("the network is not finite at timestep ", angles_.TimestepAt(phi)));
    }
    return derivative;
  }

  // One step from angle `from` to `to`.
  absl::StatusOr<State> Step(const State& state, double from, double to) {
    const double g_from = std::log(std::tan(from / 2)), g_to = std::log(std::tan(to / 2));
    const double h = g_to - g_from;
    absl::StatusOr<State> k1 = Derivative(state, from);
    if (!k1.ok()) return k1;
    if (options_.method == OdeMethod::kHeun) {
      absl::StatusOr<State> k2 = Derivative(Moved(state, h, *k1), to);
      if (!k2.ok()) return k2;
      return Moved(Moved(state, h / 2, *k1), h / 2, *k2);
    }
    const double middle = 2 * std::atan(std::exp(g_from + h / 2));
    absl::StatusOr<State> k2 = Derivative(Moved(state, h / 2, *k1), middle);
    if (!k2.ok()) return k2;
    absl::StatusOr<State> k3 = Derivative(Moved(state, h / 2, *k2), middle);
    if (!k3.ok()) return k3;
    absl::StatusOr<State> k4 = Derivative(Moved(state, h, *k3), to);
    if (!k4.ok()) return k4;
    return Moved(Moved(Moved(Moved(state, h / 6, *k1), h / 3, *k2), h / 3, *k3), h / 6, *k4);
  }

 private:
  const OdeOptions& options_;
  const NoiseAngles& angles_;
  const std::vector<float> probe_;
  const std::span<const int64_t> labels_;
  NetworkVjp* const network_;
  std::vector<float> x_, f_, vjp_;
};

}  // namespace

absl::StatusOr<OdeMethod> ParseOdeMethod(const std::string& name) {
  if (name == "heun") return OdeMethod::kHeun;
  if (name == "rk4") return OdeMethod::kRk4;
  return absl::InvalidArgumentError(
      absl::StrCat("ODE method is \"", name, "\"; it must be heun or rk4"));
}

absl::StatusOr<std::vector<double>> OdeBitsPerDim(
    const OdeOptions& options, const NoiseAngles& angles, const ImageDataset& data,
    std::span<const int64_t> indices, std::span<const int64_t> labels, NetworkVjp* network) {
  const size_t rows = indices.size(), n = static_cast<size_t>(data.image_bytes());
  const std::vector<double> grid = angles.Grid(options.steps);
  // The data's scale is x / cos(phi).
  const double signal = std::cos(grid.front());
  State state{{}, std::vector<double>(rows)};
  std::vector<float> probe;
  for (const int64_t index : indices) {
    const auto bytes = data.image(index);
    for (size_t i = 0; i < n; ++i) {
      const int64_t element = static_cast<int64_t>(i);
      const double u = EvaluationUniform(options.seed, kDequantisationStream, index, element);
      state.x.push_back(signal * ((bytes[i] + u - 0.5) / 127.5 - 1));
      probe.push_back(EvaluationUniform(options.seed, kProbeStream, index, element) < 0.5 ? -1.0f
                                                                                          : 1.0f);
    }
  }
  Flow flow(options, angles, std::move(probe), labels, network);
  for (size_t i = 1; i < grid.size(); ++i) {
    ASSIGN_OR_RETURN(state, flow.Step(state, grid[i - 1], grid[i]));
  }
  std::vector<double> bits;
  for (size_t row = 0; row < rows; ++row) {
    double squares = 0;
    for (size_t i = row * n; i < (row + 1) * n; ++i) squares += state.x[i] * state.x[i];
    const double dimensions = static_cast<double>(n);
    const double log_density = -0.5 * squares / dimensions - 0.5 * std::log(2 * std::numbers::pi) +
                               state.divergence[row] / dimensions + std::log(signal);
    bits.push_back(std::log2(127.5) - log_density * std::numbers::log2e);
  }
  return bits;
}

}  // namespace diffusiond
