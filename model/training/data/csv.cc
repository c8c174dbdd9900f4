#include "model/training/data/csv.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

absl::Status AtLine(int line, const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", what));
}

// Takes a quoted field, opening quote included, off the front of `text`.
absl::StatusOr<std::string> TakeQuoted(std::string_view* text, int* line) {
  const int first_line = *line;
  text->remove_prefix(1);
  std::string field;
  while (true) {
    const size_t quote = text->find('"');
    if (quote == text->npos) return AtLine(first_line, "a quote is not closed");
    field.append(text->substr(0, quote));
    text->remove_prefix(quote + 1);
    if (!text->starts_with('"')) break;
    field.push_back('"');
    text->remove_prefix(1);
  }
  *line += static_cast<int>(std::count(field.begin(), field.end(), '\n'));
  if (!text->empty() && !text->starts_with(',') && !text->starts_with('\n') &&
      !text->starts_with("\r\n")) {
    return AtLine(*line, "text follows a closing quote");
  }
  return field;
}

std::string TakePlain(std::string_view* text) {
  const size_t end = std::min(text->find_first_of(",\n"), text->size());
  std::string_view field = text->substr(0, end);
  text->remove_prefix(end);
  if (!text->starts_with(',') && field.ends_with('\r')) field.remove_suffix(1);
  return std::string(field);
}

absl::StatusOr<CsvRow> TakeRow(std::string_view* text, int* line) {
  CsvRow row{.line = *line, .fields = {}};
  while (true) {
    if (text->starts_with('"')) {
      ASSIGN_OR_RETURN(std::string field, TakeQuoted(text, line));
      row.fields.push_back(std::move(field));
    } else {
      row.fields.push_back(TakePlain(text));
    }
    if (!text->starts_with(',')) break;
    text->remove_prefix(1);
  }
  if (text->starts_with('\r')) text->remove_prefix(1);
  if (text->starts_with('\n')) text->remove_prefix(1);
  ++*line;
  return row;
}

}  // namespace

absl::StatusOr<std::vector<CsvRow>> ParseCsv(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  // As spreadsheets save "Unicode text"; without the mark, every other byte of plain text is 0.
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff") ||
      text.substr(0, 64).find('\0') != text.npos) {
    return AtLine(1, "the text is UTF-16, expected UTF-8: save it as CSV UTF-8");
  }
  std::vector<CsvRow> rows;
  int line = 1;
  while (!text.empty()) {
    ASSIGN_OR_RETURN(CsvRow row, TakeRow(&text, &line));
    if (row.fields.size() == 1 && row.fields[0].empty()) continue;
    if (!rows.empty() && row.fields.size() != rows[0].fields.size()) {
      return absl::InvalidArgumentError(absl::StrCat("line ", row.line, ": ", row.fields.size(),
                                                     " fields, expected ", rows[0].fields.size()));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace diffusiond
