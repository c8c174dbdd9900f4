#include <cmath>
#include <iostream>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/evaluation/bound_report.h"
#include "model/files/durable_write.h"
#include "model/programs/evaluation/bound_measurement.h"
#include "model/programs/evaluation/commands.h"
#include "model/programs/evaluation/evaluation_input.h"
#include "model/status/status_macros.h"
#include "nlohmann/json.hpp"

ABSL_FLAG(int64_t, timesteps, 10,
          "bpd: terms evaluated an image beside L_0, drawn from strata by how much they weigh; 0: "
          "all of them");
ABSL_FLAG(
    std::string, decoder, "auto",
    "bpd: L_0 by the discretised gaussian around x0-hat (Ho et al. 2020, equation 13), or by "
    "levels: what x_1 alone says of each byte (Kingma et al. 2021, section 3.3); auto: levels "
    "for a model whose schedule was learned, as it was trained, else gaussian");

namespace diffusiond {
namespace {

absl::StatusOr<ByteDecoder> DecoderFromFlags(const SchedulerConfig& scheduler) {
  const std::string name = absl::GetFlag(FLAGS_decoder);
  if (name == "auto") return DecoderOf(scheduler);
  if (name == "gaussian") return ByteDecoder::kGaussian;
  if (name == "levels") return ByteDecoder::kLevels;
  return absl::InvalidArgumentError(
      absl::StrCat("--decoder is \"", name, "\"; it must be auto, gaussian or levels"));
}

nlohmann::json ToJson(const MeanAndError& value) {
  nlohmann::json json = {{"bits_per_dim", value.mean}};
  if (!std::isnan(value.standard_error)) json["standard_error"] = value.standard_error;
  return json;
}

void Print(const std::string& name, const MeanAndError& value) {
  std::cout << absl::StrFormat("%-20s %9.5f +- %.5f bits/dim\n", name, value.mean,
                               value.standard_error);
}

void Print(const BoundSums& sums, const char* total) {
  const BoundSummary summary = SummariseBound(sums);
  Print("L_T", summary.prior);
  Print(absl::StrCat("L_1 + ... + L_", sums.terms.size() - 1), summary.middle);
  Print("L_0", summary.decoder);
  Print(total, summary.total);
}

nlohmann::json ToJson(const BoundSums& sums) {
  const BoundSummary summary = SummariseBound(sums);
  return {{"L_T", ToJson(summary.prior)},
          {"L_1_to_L_T-1", ToJson(summary.middle)},
          {"L_0", ToJson(summary.decoder)},
          {"total", ToJson(summary.total)}};
}

}  // namespace

absl::Status RunBitsPerDimCommand() {
  const int64_t per_image = absl::GetFlag(FLAGS_timesteps);
  if (per_image < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--timesteps is ", per_image, "; it must be 0 or more"));
  }
  RETURN_IF_ERROR(DecoderFromFlags({}).status());
  ASSIGN_OR_RETURN(EvaluationInput input, OpenEvaluationInput(/*default_images=*/0));
  const ByteDecoder decoder = *DecoderFromFlags(input.checkpoint.config().scheduler);
  ASSIGN_OR_RETURN(ModelOnData model, PutModelOnData(input));
  ASSIGN_OR_RETURN(MeasuredBound bound,
                   MeasureBound(input, model, per_image, decoder, "bpd.state"));

  const Bounds& bounds = bound.bounds;
  std::cout << "the network's bound, of which ode measures the likelihood:\n";
  Print(bounds.network, "total");
  nlohmann::json report = ToJson(bounds.network);
  report["measured"] = bound.label;
  report["fingerprint"] = input.fingerprint;
  report["images"] = bounds.network.images.size();
  report["decoder"] = decoder == ByteDecoder::kLevels ? "levels" : "gaussian";
  report["variance_type"] = input.checkpoint.config().scheduler.variance_type;
  if (bounds.clips()) {
    std::cout << "the bound of the sampler that clips x0-hat at every step, another model:\n";
    Print(bounds.clipped, "total, clipped");
    report["clipped"] = ToJson(bounds.clipped);
  }
  absl::Status status = ReplaceFile(input.out / "bpd.json", report.dump(2) + "\n");
  if (status.ok()) status = ReplaceFile(input.out / "bpd_terms.csv", BoundCsv(bounds.network));
  if (status.ok()) {
    status = ReplaceFile(input.out / "bpd_terms.svg", BoundPlot(bounds.network, bound.label));
  }
  return status;
}

}  // namespace diffusiond
