#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/evaluation/bound_sums.h"
#include "model/evaluation/ode_likelihood.h"
#include "model/evaluation/ode_run.h"
#include "model/evaluation/progress_bar.h"
#include "model/evaluation/unet_lanes.h"
#include "model/files/durable_write.h"
#include "model/programs/evaluation/commands.h"
#include "model/programs/evaluation/evaluation_input.h"
#include "model/status/status_macros.h"
#include "nlohmann/json.hpp"

ABSL_FLAG(int64_t, ode_steps, 16, "ode: steps of the solver");
ABSL_FLAG(std::string, ode_method, "rk4", "ode: heun (two evaluations a step) or rk4 (four)");

namespace diffusiond {
namespace {

constexpr int64_t kDefaultImages = 128;
constexpr int64_t kMostSteps = 100'000;

absl::StatusOr<OdeOptions> OptionsFromFlags(const EvaluationInput& input) {
  absl::StatusOr<OdeMethod> method = ParseOdeMethod(absl::GetFlag(FLAGS_ode_method));
  if (!method.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--ode_method: ", method.status().message()));
  }
  OdeOptions options;
  options.method = *method;
  options.steps = absl::GetFlag(FLAGS_ode_steps);
  options.prediction_type = input.model.prediction_type;
  options.tells_log_sigma = input.model.tells_log_sigma;
  options.seed = absl::GetFlag(FLAGS_seed);
  if (options.steps < 1 || options.steps > kMostSteps) {
    return absl::InvalidArgumentError(
        absl::StrCat("--ode_steps is ", options.steps, "; it must be 1 .. ", kMostSteps));
  }
  return options;
}

}  // namespace

absl::Status RunOdeCommand() {
  ASSIGN_OR_RETURN(EvaluationInput input, OpenEvaluationInput(kDefaultImages));
  const SchedulerConfig& scheduler = input.checkpoint.config().scheduler;
  RETURN_IF_ERROR(CheckMeasurable(scheduler));
  ASSIGN_OR_RETURN(OdeOptions options, OptionsFromFlags(input));
  ASSIGN_OR_RETURN(NoiseAngles angles, NoiseAngles::Create(input.model.schedule));
  ASSIGN_OR_RETURN(std::vector<std::unique_ptr<NetworkVjp>> lanes,
                   VjpLanesOf(input.checkpoint, *MicroBatchFromFlags(), *DeviceFromFlags()));

  const std::string solver = absl::StrCat("probability-flow ODE, ", options.steps, " ",
                                          absl::GetFlag(FLAGS_ode_method), " steps");
  const std::string label = absl::StrCat(input.description, "; ", solver);
  std::cout << label << std::endl;
  // Results of the time when all models were told the timestep are not gone on from.
  const std::string told = options.tells_log_sigma ? ", told log(sigma) / 4" : "";
  ProgressBar bar(&std::cout, input.data.size(), {.terminal = OutputIsTerminal()});
  ASSIGN_OR_RETURN(std::vector<double> bits,
                   RunOde(options, angles, input.data, input.labels,
                          {.state = input.out / "ode.state",
                           .fingerprint = absl::StrCat(input.fingerprint, ", ", solver, told)},
                          std::move(lanes), [&](int64_t done) { bar.Update(done); }));

  const MeanAndError summary = Summarise(bits);
  std::cout << absl::StrFormat("%-20s %9.5f +- %.5f bits/dim\n", "ODE", summary.mean,
                               summary.standard_error);
  std::string csv = "image,bits_per_dim\n";
  for (size_t i = 0; i < bits.size(); ++i) {
    absl::StrAppendFormat(&csv, "%d,%.12g\n", i, bits[i]);
  }
  const nlohmann::json report = {{"measured", label},
                                 {"fingerprint", input.fingerprint},
                                 {"images", bits.size()},
                                 {"bits_per_dim", summary.mean},
                                 {"standard_error", summary.standard_error}};
  absl::Status status = ReplaceFile(input.out / "ode.json", report.dump(2) + "\n");
  if (status.ok()) status = ReplaceFile(input.out / "ode.csv", csv);
  return status;
}

}  // namespace diffusiond
