#include "client/commands/sampler_table.h"

#include "absl/strings/str_join.h"
#include "client/text_table.h"

namespace diffusiond {

std::string SamplerTable(const v1::Model& model) {
  TextTable table({"SAMPLER", "OPTIONS", "DESCRIPTION"});
  for (const v1::SamplerInfo& sampler : model.samplers()) {
    table.AddRow({sampler.name() == model.defaults().sampler() ? sampler.name() + " (default)"
                                                               : sampler.name(),
                  sampler.options().empty() ? "-" : absl::StrJoin(sampler.options(), ", "),
                  sampler.description()});
  }
  return table.ToString();
}

}  // namespace diffusiond
