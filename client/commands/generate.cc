#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/commands/connection.h"
#include "client/commands/generation_run.h"
#include "client/commands/json_results.h"
#include "client/commands/request_flags.h"
#include "client/commands/starting_flags.h"
#include "client/sampling_options.h"

ABSL_DECLARE_FLAG(std::string, out);

ABSL_FLAG(std::optional<uint32_t>, preview_every, std::nullopt,
          "=N: a preview every N steps; 0: none; about twenty in all if not given");
ABSL_FLAG(std::string, preview, "both",
          "=x_t|x0|both: the noisy image, the guess at the final one");
ABSL_FLAG(std::optional<uint32_t>, preview_max_side, std::nullopt,
          "=PIXELS: larger previews are reduced; 0: none is");
ABSL_FLAG(std::string, sheet, "", "=FILE.png: all images on one sheet");
ABSL_FLAG(std::string, strip, "", "=FILE.png: how the first images came out of the noise");
ABSL_FLAG(bool, labels, true,
          "class, seed, sampler and steps stand on sheet and strip; --nolabels: pictures alone");
ABSL_FLAG(std::string, receipt, "",
          "=FILE.json: what diffusionctl replay takes too; beside the images; none: no such file");
ABSL_FLAG(
    bool, embed_receipt, true,
    "PNG and WebP files carry their receipt, which replay IMAGE reads; --noembed_receipt: none");
ABSL_FLAG(std::optional<uint32_t>, width, std::nullopt,
          "=COLUMNS: of the terminal, if it cannot tell");
ABSL_FLAG(bool, quiet, false, "print no progress and no file names");

namespace diffusiond {
namespace {

constexpr uint32_t kLivePreviews = 20;
constexpr uint32_t kStripPreviews = 10;
constexpr uint32_t kLivePreviewSide = 128;  // Pixels; a terminal shows no more.

absl::StatusOr<v1::PreviewKind> ParsePreviewKind(const std::string& name) {
  if (name == "x_t") return v1::PREVIEW_KIND_X_T;
  if (name == "x0" || name == "x0_hat") return v1::PREVIEW_KIND_X0_HAT;
  if (name == "both") return v1::PREVIEW_KIND_BOTH;
  return absl::InvalidArgumentError(
      absl::StrCat("--preview: '", name, "', expected x_t, x0 or both"));
}

absl::Status CheckNamesPng(const char* flag, const std::string& path) {
  if (path.empty() || absl::EndsWithIgnoreCase(path, ".png")) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, "=", path, ": it is a PNG file, expected FILE.png"));
}

// Asks for as many previews as the terminal or the strip is worth. Steps that the flags leave open
// are the model's default.
absl::Status AddPreviews(v1::PreviewKind kind, bool live, const absl::StatusOr<v1::Model>& model,
                         v1::GenerateRequest& request) {
  const bool strip = !absl::GetFlag(FLAGS_strip).empty();
  uint32_t every = absl::GetFlag(FLAGS_preview_every).value_or(0);
  if (!absl::GetFlag(FLAGS_preview_every).has_value()) {
    if (!live && !strip) return absl::OkStatus();
    uint32_t steps = request.sampling().steps();
    if (!request.sampling().has_steps()) {
      if (!model.ok()) return model.status();
      steps = model->defaults().steps();
    }
    every = std::max(1u, steps / (live ? kLivePreviews : kStripPreviews));
  }
  if (every == 0) return absl::OkStatus();
  request.mutable_preview()->set_every_steps(every);
  request.mutable_preview()->set_kind(kind);
  request.mutable_preview()->set_max_side(
      absl::GetFlag(FLAGS_preview_max_side).value_or(strip ? 0 : kLivePreviewSide));
  return absl::OkStatus();
}

int Run(const std::vector<std::string>&, CommandContext& command_context) {
  CommandContext context = command_context;
  if (const auto width = absl::GetFlag(FLAGS_width); width.has_value()) {
    context.terminal = [ask = context.terminal, width] {
      Terminal terminal = ask();
      terminal.columns = static_cast<int>(std::clamp(*width, 20u, 1000u));
      return terminal;
    };
  }
  absl::StatusOr<v1::GenerateRequest> request = RequestByFlags(context.options);
  const absl::StatusOr<v1::PreviewKind> kind = ParsePreviewKind(absl::GetFlag(FLAGS_preview));
  absl::Status usage = request.status();
  usage.Update(kind.status());
  usage.Update(CheckNamesPng("sheet", absl::GetFlag(FLAGS_sheet)));
  usage.Update(CheckNamesPng("strip", absl::GetFlag(FLAGS_strip)));
  if (!usage.ok()) {
    *context.err << "diffusionctl: " << usage.message() << "\n";
    return kExitUsage;
  }

  const auto client = ConnectByFlags();
  if (!client.ok()) return ReportError(client.status(), context);
  const bool quiet = absl::GetFlag(FLAGS_quiet);
  const bool live = !quiet && context.terminal().interactive;
  const absl::StatusOr<v1::Model> model =
      (*client)->GetModel(request->model(), CallOptionsByFlags(context));
  if (model.ok() && request->has_class_name()) SpellClassAsTheModel(*model, *request);
  absl::Status previews = AddPreviews(*kind, live, model, *request);
  if (!previews.ok()) return ReportError(previews, context);

  GenerationOutputs outputs;
  outputs.out = absl::GetFlag(FLAGS_out);
  outputs.sheet = absl::GetFlag(FLAGS_sheet);
  outputs.strip = absl::GetFlag(FLAGS_strip);
  outputs.labels = absl::GetFlag(FLAGS_labels);
  outputs.receipt = absl::GetFlag(FLAGS_receipt);
  outputs.embed_receipt = absl::GetFlag(FLAGS_embed_receipt);
  // Beside standard output there is no place.
  outputs.write_receipt =
      outputs.receipt.empty() ? outputs.out != kStandardOutput : outputs.receipt != "none";
  if (model.ok()) outputs.max_count = model->limits().max_count();
  outputs.quiet = quiet;
  outputs.json = absl::GetFlag(FLAGS_json);
  const absl::StatusOr<v1::Completed> completed =
      RunGeneration(**client, *request, outputs, context);
  return completed.ok() ? kExitOk : ReportError(WithFlagNames(completed.status()), context);
}

}  // namespace

Command GenerateCommand() {
  std::vector<std::string> flags = {"model",         "model_digest",
                                    "class",         "count",
                                    "seed",          "first_image_index",
                                    "format",        "out",
                                    "receipt",       "embed_receipt",
                                    "sheet",         "strip",
                                    "labels",        "preview",
                                    "preview_every", "preview_max_side",
                                    "width",         "quiet",
                                    "json",          "priority"};
  for (const auto* more : {&kStartingFileFlags, &kFitFlags, &kMorphFlags}) {
    flags.insert(flags.end(), more->begin(), more->end());
  }
  return {.name = "generate",
          .arguments = "",
          .summary = "draw images, show them while they appear, and save them",
          .details = "What is not given is the model's default (diffusionctl models NAME).\n",
          .flags = WithConnectionFlags(std::move(flags)),
          .aliases = {{"class_name", "class"},
                      {"class_id", "class"},
                      {"preview_every_steps", "preview_every"},
                      {"preview_kind", "preview"},
                      {"picture_fit", "fit"}},
          .options = SamplingOptionSpecs(),
          .run = Run};
}

}  // namespace diffusiond
