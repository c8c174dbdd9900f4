#include <algorithm>
#include <string>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/commands/connection.h"
#include "client/commands/json_results.h"
#include "client/commands/sampler_table.h"
#include "client/message_json.h"
#include "model/process/printable_text.h"
#include "model/process/wrapped_text.h"

ABSL_DECLARE_FLAG(std::string, model);

namespace diffusiond {
namespace {

// What tests/benchmarks/quality found with the model that the project ships.
constexpr char kRecommended[] = "unipc";
constexpr char kAdvice[] =
    "\nFor few steps: --sampler=unipc or dpmpp with --timestep_spacing=trailing,\n"
    "from --steps=10 on.\n";

int Run(const std::vector<std::string>&, CommandContext& context) {
  const auto client = ConnectByFlags();
  if (!client.ok()) return ReportError(client.status(), context);
  const auto model = (*client)->GetModel(absl::GetFlag(FLAGS_model), CallOptionsByFlags(context));
  if (!model.ok()) return ReportError(model.status(), context);
  if (absl::GetFlag(FLAGS_json)) {
    *context.out << MessageJson(*model);
    return kExitOk;
  }
  const int columns = TextColumns(context);
  const auto& samplers = model->samplers();
  const bool says_steps =
      std::any_of(samplers.begin(), samplers.end(),
                  [](const v1::SamplerInfo& sampler) { return sampler.default_steps() > 0; });
  const std::string title = absl::StrCat("Samplers of ", Printable(model->name()),
                                         says_steps ? ", with the steps of each by default:" : ":");
  *context.out << WrapText(title, 0, columns) << "\n"
               << SamplerList(*model, columns) << "\nOptions, as flags of generate:\n"
               << OptionList(*model, columns);
  if (std::any_of(samplers.begin(), samplers.end(),
                  [](const v1::SamplerInfo& sampler) { return sampler.name() == kRecommended; })) {
    *context.out << kAdvice;
  }
  return kExitOk;
}

}  // namespace

Command SamplersCommand() {
  return {.name = "samplers",
          .arguments = "",
          .summary = "list the samplers of a model and the options that each reads",
          .details = "With --json: the model, whose samplers, options and defaults they are.\n",
          .flags = WithConnectionFlags({"model", "json"}),
          .run = Run};
}

}  // namespace diffusiond
