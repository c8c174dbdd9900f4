#include "model/checkpoint/attention_names.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "model/files/file_status.h"

namespace diffusiond {
namespace {

constexpr std::pair<absl::string_view, absl::string_view> kRenamed[] = {
    {"query", "to_q"}, {"key", "to_k"}, {"value", "to_v"}, {"proj_attn", "to_out.0"}};

bool IsNumber(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
}

}  // namespace

std::string NewParameterName(absl::string_view name) {
  std::vector<absl::string_view> parts = absl::StrSplit(name, '.');
  // ..., "attentions", n, old, "weight"
  if (parts.size() >= 4 && parts[parts.size() - 4] == "attentions" &&
      IsNumber(parts[parts.size() - 3])) {
    for (const auto& [old_part, new_part] : kRenamed) {
      if (parts[parts.size() - 2] != old_part) continue;
      parts[parts.size() - 2] = new_part;
      return absl::StrJoin(parts, ".");
    }
  }
  return std::string(name);
}

absl::StatusOr<TensorMap> WithNewNames(TensorMap tensors) {
  TensorMap renamed;
  for (auto& [name, tensor] : tensors) {
    std::string new_name = NewParameterName(name);
    if (new_name != name && tensor.shape.size() == 4 && tensor.shape[2] == 1 &&
        tensor.shape[3] == 1) {
      tensor.shape.resize(2);
    }
    const auto [place, inserted] = renamed.emplace(std::move(new_name), std::move(tensor));
    if (!inserted) {
      return absl::InvalidArgumentError(absl::StrCat(
          "holds ", Quoted(place->first), " twice, under its old name and under its new one"));
    }
  }
  return renamed;
}

}  // namespace diffusiond
