#include "client/commands/sampler_table.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/process/printable_text.h"
#include "model/process/wrapped_text.h"

namespace diffusiond {
namespace {

constexpr int kBelow = 6;  // Columns left of what is said below a name.

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

void AppendBelow(const std::string& says, int columns, std::string* text) {
  absl::StrAppend(text, std::string(kBelow, ' '), WrapText(Printable(says), kBelow, columns), "\n");
}

void AppendEntry(const std::string& head, const std::string& says, int columns, std::string* text) {
  absl::StrAppend(text, "  ", WrapText(Printable(head), kBelow + 2, columns), "\n");
  AppendBelow(says, columns, text);
}

}  // namespace

std::string SamplerList(const v1::Model& model, int columns) {
  std::string text;
  for (const v1::SamplerInfo& sampler : model.samplers()) {
    std::string head = sampler.name();
    if (sampler.name() == model.defaults().sampler()) head += " (default)";
    // A server of before the field says 0.
    if (sampler.default_steps() > 0)
      absl::StrAppend(&head, ": ", sampler.default_steps(), " steps");
    AppendEntry(head, sampler.description(), columns, &text);
    if (sampler.options().empty()) continue;
    AppendBelow("reads " + absl::StrJoin(sampler.options(), ", "), columns, &text);
  }
  return text;
}

std::string OptionList(const v1::Model& model, int columns) {
  std::string text;
  for (const v1::OptionInfo& option : model.options()) {
    AppendEntry(absl::StrCat(option.name(), ": ", Values(option)), option.help(), columns, &text);
  }
  return text;
}

}  // namespace diffusiond
