#include "client/commands/sampler_table.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/text_table.h"

namespace diffusiond {
namespace {

std::string Values(const v1::OptionInfo& option) {
  switch (option.kind()) {
    case v1::OPTION_KIND_INTEGER:
    case v1::OPTION_KIND_NUMBER:
      return absl::StrCat(option.low_excluded() ? "above " : "", option.low(), " .. ",
                          option.high());
    case v1::OPTION_KIND_WORD:
      return option.words().empty() ? "a name" : absl::StrJoin(option.words(), ", ");
    default:
      return "true, false";
  }
}

}  // namespace

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

std::string OptionTable(const v1::Model& model) {
  TextTable table({"OPTION", "VALUES", "WHAT IT IS"});
  for (const v1::OptionInfo& option : model.options()) {
    table.AddRow({option.name(), Values(option), option.help()});
  }
  return table.ToString();
}

}  // namespace diffusiond
