#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "client/commands/commands.h"
#include "client/commands/connection.h"
#include "client/commands/sampler_table.h"

ABSL_DECLARE_FLAG(std::string, model);

namespace diffusiond {
namespace {

int Run(const std::vector<std::string>&, CommandContext& context) {
  const auto client = ConnectByFlags();
  if (!client.ok()) return ReportError(client.status(), context);
  const auto model = (*client)->GetModel(absl::GetFlag(FLAGS_model), CallOptionsByFlags(context));
  if (!model.ok()) return ReportError(model.status(), context);
  *context.out << SamplerTable(*model);
  return kExitOk;
}

}  // namespace

Command SamplersCommand() {
  return {.name = "samplers",
          .arguments = "",
          .summary = "list the samplers of a model and the options that each reads",
          .details = "",
          .flags = WithConnectionFlags({"model"}),
          .run = Run};
}

}  // namespace diffusiond
