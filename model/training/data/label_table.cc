#include "model/training/data/label_table.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/files/file_status.h"
#include "model/files/mapped_file.h"
#include "model/status/status_macros.h"
#include "model/training/data/csv.h"
#include "model/training/data/file_text.h"
#include "model/training/data/json_lines.h"

namespace diffusiond {
namespace {

struct Columns {
  size_t file = 0;
  std::optional<size_t> label;
  std::optional<size_t> class_name;
};

absl::Status AtLine(int line, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", what));
}

absl::StatusOr<std::optional<size_t>> Find(const CsvRow& header, const std::string& name) {
  const auto first = std::find(header.fields.begin(), header.fields.end(), name);
  if (first == header.fields.end()) return std::nullopt;
  if (std::find(first + 1, header.fields.end(), name) != header.fields.end()) {
    return AtLine(header.line, absl::StrCat("two columns are named ", name));
  }
  return first - header.fields.begin();
}

absl::StatusOr<Columns> FindColumns(const CsvRow& header) {
  std::map<std::string, std::optional<size_t>> found;
  for (const char* name : {"file_name", "file", "label", "category", "class", "group"}) {
    ASSIGN_OR_RETURN(std::optional<size_t> column, Find(header, name));
    found[name] = column;
  }
  const auto either = [&](const char* first, const char* second) {
    return found[first].has_value() ? found[first] : found[second];
  };
  const std::optional<size_t> file = either("file_name", "file");
  if (!file.has_value()) {
    return AtLine(header.line, absl::StrCat("there is no column named file_name or file among ",
                                            Quoted(absl::StrJoin(header.fields, ","))));
  }
  return Columns{
      .file = *file, .label = either("label", "category"), .class_name = either("class", "group")};
}

// Whether it is written as one, be it too large.
bool IsNumber(std::string_view label) {
  if (label.starts_with('-')) label.remove_prefix(1);
  return !label.empty() && label.find_first_not_of("0123456789") == label.npos;
}

// All pictures under `folder` that are not among `named`.
std::vector<LeftOut> Unnamed(const std::filesystem::path& folder,
                             const std::set<std::filesystem::path>& named) {
  std::vector<LeftOut> unnamed;
  std::error_code error;
  std::filesystem::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::recursive_directory_iterator();
       entry.increment(error)) {
    if (entry->path().filename().string().starts_with('.')) {
      entry.disable_recursion_pending();
      continue;
    }
    std::error_code ignored;
    if (!entry->is_regular_file(ignored) || !IsPicture(entry->path())) continue;
    const std::filesystem::path file = entry->path().lexically_relative(folder);
    if (!named.contains(file)) unnamed.push_back({file.string(), "not in the table"});
  }
  std::sort(unnamed.begin(), unnamed.end(),
            [](const LeftOut& a, const LeftOut& b) { return a.file < b.file; });
  return unnamed;
}

struct Entry {
  std::string file;
  int32_t label = 0;
  std::string name;  // Of the class, if labels are names.
};

// Collects what the rows say, row by row.
class Table {
 public:
  Table(std::filesystem::path folder, const Columns& columns, bool numbers)
      : folder_(std::move(folder)), columns_(columns), numbers_(numbers) {}

  absl::Status Add(const CsvRow& row) {
    Entry entry{.file = row.fields[columns_.file], .label = 0, .name = {}};
    if (columns_.label.has_value()) {
      RETURN_IF_ERROR(ReadLabel(row, &entry));
    }
    std::error_code error;
    if (entry.file.empty() || !std::filesystem::is_regular_file(folder_ / entry.file, error)) {
      return AtLine(row.line, absl::StrCat("there is no file ", Quoted(entry.file), " in ",
                                           folder_.string()));
    }
    if (!files_.insert(std::filesystem::path(entry.file).lexically_normal()).second) {
      return AtLine(row.line, absl::StrCat("file ", Quoted(entry.file), " comes a second time"));
    }
    entries_.push_back(std::move(entry));
    return absl::OkStatus();
  }

  ImageList Finish() {
    std::sort(entries_.begin(), entries_.end(),
              [](const Entry& a, const Entry& b) { return a.file < b.file; });
    if (!numbers_) NumberNames();
    ImageList list;
    list.folder = folder_;
    list.left_out = Unnamed(folder_, files_);
    list.numbered_by_name = !numbers_;
    for (const Entry& entry : entries_) {
      list.files.push_back(folder_ / entry.file);
      if (columns_.label.has_value()) list.labels.push_back(entry.label);
    }
    // With a gap among the labels there is no name to give; whoever checks the labels says so.
    const bool dense = !names_.empty() && names_.rbegin()->first + 1 == int64_t(names_.size());
    if (dense) {
      for (const auto& [label, name] : names_) list.class_names.push_back(name);
    }
    return list;
  }

 private:
  absl::Status ReadLabel(const CsvRow& row, Entry* entry) {
    const std::string& label = row.fields[*columns_.label];
    if (std::binary_search(row.nested.begin(), row.nested.end(), *columns_.label)) {
      return AtLine(row.line, absl::StrCat("label is ", Quoted(label),
                                           ", expected a class's name or a number from 0"));
    }
    if (!numbers_ && !label.empty()) {
      entry->name = label;
      return absl::OkStatus();
    }
    if (!numbers_) return AtLine(row.line, "there is no label, expected a class's name");
    if (!absl::SimpleAtoi(label, &entry->label) || entry->label < 0) {
      return AtLine(row.line,
                    absl::StrCat("label is ", Quoted(label), ", expected a number from 0"));
    }
    if (columns_.class_name.has_value()) {
      const std::string& name = row.fields[*columns_.class_name];
      const auto [known, inserted] = names_.emplace(entry->label, name);
      if (!inserted && known->second != name) {
        return AtLine(row.line, absl::StrCat("label ", entry->label, " is called ", Quoted(name),
                                             ", before it was called ", Quoted(known->second)));
      }
    }
    return absl::OkStatus();
  }

  void NumberNames() {
    std::map<std::string, int32_t> numbers;
    for (const Entry& entry : entries_) numbers[entry.name];
    for (auto& [name, number] : numbers) {
      number = static_cast<int32_t>(names_.size());
      names_[number] = name;
    }
    for (Entry& entry : entries_) entry.label = numbers[entry.name];
  }

  const std::filesystem::path folder_;
  const Columns columns_;
  const bool numbers_;  // Labels are, not names.
  std::vector<Entry> entries_;
  std::set<std::filesystem::path> files_;
  std::map<int32_t, std::string> names_;
};

absl::StatusOr<ImageList> ListRows(const std::filesystem::path& folder,
                                   const std::vector<CsvRow>& rows) {
  if (rows.size() < 2) {
    return absl::InvalidArgumentError("no rows, expected a header and a row for each image");
  }
  ASSIGN_OR_RETURN(Columns columns, FindColumns(rows.front()));
  // One number among them, and the rest are taken for mistakes.
  const bool numbers = !columns.label.has_value() ||
                       std::any_of(rows.begin() + 1, rows.end(), [&](const CsvRow& row) {
                         return IsNumber(row.fields[*columns.label]);
                       });
  Table table(folder, columns, numbers);
  for (size_t i = 1; i < rows.size(); ++i) {
    RETURN_IF_ERROR(table.Add(rows[i]));
  }
  return table.Finish();
}

}  // namespace

absl::StatusOr<ImageList> ListLabelTable(const std::filesystem::path& folder,
                                         const std::filesystem::path& table) {
  ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(table));
  absl::StatusOr<std::vector<CsvRow>> rows =
      table.extension() == ".jsonl" ? ParseJsonLines(TextOf(file)) : ParseCsv(TextOf(file));
  if (!rows.ok()) return InFile(table, rows.status());
  absl::StatusOr<ImageList> list = ListRows(folder, *rows);
  return list.ok() ? std::move(list) : InFile(table, list.status());
}

}  // namespace diffusiond
