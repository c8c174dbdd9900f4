#include <algorithm>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/commands/commands.h"
#include "client/commands/connection.h"
#include "client/commands/json_results.h"
#include "client/commands/sampler_table.h"
#include "client/message_json.h"
#include "client/text_table.h"

namespace diffusiond {
namespace {

// 1832961 -> "1.8 M".
std::string ShortNumber(uint64_t number) {
  if (number >= 1000000000) return absl::StrFormat("%.1f G", static_cast<double>(number) / 1e9);
  if (number >= 1000000) return absl::StrFormat("%.1f M", static_cast<double>(number) / 1e6);
  if (number >= 1000) return absl::StrFormat("%.0f k", static_cast<double>(number) / 1e3);
  return absl::StrCat(number);
}

std::string Size(const v1::Model& model) {
  return absl::StrCat(model.width(), "x", model.height(), model.channels() == 1 ? " grey" : " RGB");
}

std::string Defaults(const v1::SamplingOptions& defaults) {
  std::string text = absl::StrCat(defaults.sampler(), ", ", defaults.steps(), " steps");
  if (defaults.sampler() == "ddim") absl::StrAppend(&text, ", eta ", defaults.eta());
  if (defaults.guidance_scale() != 1) {
    absl::StrAppend(&text, ", guidance ", defaults.guidance_scale());
  }
  return text;
}

void PrintTable(const v1::ListModelsResponse& models, CommandContext& context) {
  TextTable table({"NAME", "SIZE", "CLASSES", "PARAMETERS", "DEFAULTS", "DIGEST"});
  for (const v1::Model& model : models.models()) {
    const bool is_default = models.models_size() > 1 && model.name() == models.default_model();
    table.AddRow({is_default ? model.name() + " (default)" : model.name(), Size(model),
                  model.classes().empty() ? "-" : absl::StrCat(model.classes_size()),
                  ShortNumber(model.num_parameters()), Defaults(model.defaults()),
                  model.digest().substr(0, 12)});
  }
  *context.out << table.ToString();
}

// "cpu, network numerics 1, diffusiond 0.1.0": what equal bytes depend on.
std::string RunsOn(const v1::Numerics& numerics) {
  std::string text = numerics.device_kind();
  if (numerics.network_numerics() > 0) {
    absl::StrAppend(&text, ", network numerics ", numerics.network_numerics());
  }
  if (!numerics.libtorch_version().empty()) {
    absl::StrAppend(&text, ", LibTorch ", numerics.libtorch_version());
  }
  if (numerics.micro_batch() > 0) {
    absl::StrAppend(&text, ", micro-batch ", numerics.micro_batch());
  }
  return absl::StrCat(text, ", diffusiond ", numerics.server_version());
}

void PrintDetails(const v1::Model& model, CommandContext& context) {
  TextTable table({});
  const auto row = [&table](std::string what, std::string says) {
    table.AddRow({std::move(what), std::move(says)});
  };
  row("model", model.name());
  row("images", Size(model));
  row("classes",
      model.classes().empty()
          ? "none (unconditional)"
          : absl::StrJoin(model.classes(), ", ", [](std::string* out, const v1::ModelClass& entry) {
              absl::StrAppend(out, entry.id(), " ", entry.name());
            }));
  if (!model.classes().empty()) {
    row("no class", model.needs_class()      ? "not possible"
                    : model.has_null_class() ? "possible, and so is guidance"
                                             : "possible");
  }
  if (model.has_classifier()) row("classifier", "guides towards a class");
  row("parameters", ShortNumber(model.num_parameters()));
  row("predicts", model.prediction_type());
  row("schedule", absl::StrCat(model.beta_schedule(), ", ", model.num_train_timesteps(),
                               " training timesteps"));
  const v1::SamplingOptions& defaults = model.defaults();
  row("defaults", absl::StrCat(Defaults(defaults), ", ", defaults.timestep_spacing(), " spacing, ",
                               defaults.clip_sample() ? "clip_sample" : "no clip_sample"));
  row("limits", absl::StrCat("count 1 .. ", model.limits().max_count(), ", steps 1 .. ",
                             model.limits().max_steps(), ", guidance 0 .. ",
                             model.limits().max_guidance_scale()));
  for (const std::string& warning : model.warnings()) row("warning", warning);
  for (const v1::UnavailableSampler& sampler : model.unavailable_samplers()) {
    row(absl::StrCat("not ", sampler.name()), sampler.reason());
  }
  if (model.version() > 0) row("version", absl::StrCat(model.version()));
  row("digest", model.digest());
  row("runs on", RunsOn(model.numerics()));
  const int columns = TextColumns(context);
  *context.out << table.ToString(columns) << "\nSamplers:\n" << SamplerList(model, columns);
}

int Run(const std::vector<std::string>& arguments, CommandContext& context) {
  const auto client = ConnectByFlags();
  if (!client.ok()) return ReportError(client.status(), context);
  if (!arguments.empty()) {
    const auto model = (*client)->GetModel(arguments[0], CallOptionsByFlags(context));
    if (!model.ok()) return ReportError(model.status(), context);
    if (absl::GetFlag(FLAGS_json)) {
      *context.out << MessageJson(*model);
    } else {
      PrintDetails(*model, context);
    }
    return kExitOk;
  }
  const auto models = (*client)->ListModels(CallOptionsByFlags(context));
  if (!models.ok()) return ReportError(models.status(), context);
  if (absl::GetFlag(FLAGS_json)) {
    *context.out << MessageJson(*models);
  } else {
    PrintTable(*models, context);
  }
  return kExitOk;
}

}  // namespace

Command ModelsCommand() {
  return {.name = "models",
          .arguments = "[NAME]",
          .summary = "list the server's models, or tell all about one",
          .details = "",
          .flags = WithConnectionFlags({"json"}),
          .max_arguments = 1,
          .run = Run};
}

}  // namespace diffusiond
