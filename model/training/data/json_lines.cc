#include "model/training/data/json_lines.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

std::string TextOf(const nlohmann::json& value) {
  if (value.is_null()) return "";
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

absl::StatusOr<std::vector<CsvRow>> ParseJsonLines(std::string_view text) {
  std::vector<CsvRow> rows;
  for (int line = 1; !text.empty(); ++line) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view row_text = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (row_text.find_first_not_of(" \t\r") == row_text.npos) continue;
    const auto object = nlohmann::json::parse(row_text, nullptr, /*allow_exceptions=*/false);
    if (!object.is_object()) {
      return absl::InvalidArgumentError(absl::StrCat("line ", line, ": is no JSON object"));
    }
    if (rows.empty()) {
      rows.push_back({.line = line, .fields = {}});
      for (const auto& [name, value] : object.items()) rows[0].fields.push_back(name);
    }
    CsvRow row{.line = line, .fields = {}};
    for (const std::string& name : rows[0].fields) {
      const auto value = object.find(name);
      if (value != object.end() && value->is_structured()) row.nested.push_back(row.fields.size());
      row.fields.push_back(value == object.end() ? "" : TextOf(*value));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace diffusiond
