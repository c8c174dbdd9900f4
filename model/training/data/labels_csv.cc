#include "model/training/data/labels_csv.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
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

namespace diffusiond {
namespace {

struct Columns {
  size_t file = 0;
  size_t label = 0;
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
  for (const char* name : {"file", "label", "class", "group"}) {
    ASSIGN_OR_RETURN(std::optional<size_t> column, Find(header, name));
    found[name] = column;
  }
  for (const char* name : {"file", "label"}) {
    if (!found[name].has_value()) {
      return AtLine(header.line, absl::StrCat("there is no column named ", name, " among ",
                                              Quoted(absl::StrJoin(header.fields, ","))));
    }
  }
  return Columns{.file = *found["file"],
                 .label = *found["label"],
                 .class_name = found["class"].has_value() ? found["class"] : found["group"]};
}

struct Entry {
  std::string file;
  int32_t label = 0;
};

// Collects what the rows say, row by row.
class Table {
 public:
  Table(std::filesystem::path folder, const Columns& columns)
      : folder_(std::move(folder)), columns_(columns) {}

  absl::Status Add(const CsvRow& row) {
    Entry entry{.file = row.fields[columns_.file]};
    const std::string& label = row.fields[columns_.label];
    if (!absl::SimpleAtoi(label, &entry.label) || entry.label < 0) {
      return AtLine(row.line,
                    absl::StrCat("label is ", Quoted(label), ", expected a number from 0"));
    }
    std::error_code error;
    if (entry.file.empty() || !std::filesystem::is_regular_file(folder_ / entry.file, error)) {
      return AtLine(row.line, absl::StrCat("there is no file ", Quoted(entry.file), " in ",
                                           folder_.string()));
    }
    if (!files_.insert(entry.file).second) {
      return AtLine(row.line, absl::StrCat("file ", Quoted(entry.file), " comes a second time"));
    }
    if (columns_.class_name.has_value()) {
      const std::string& name = row.fields[*columns_.class_name];
      const auto [known, inserted] = names_.emplace(entry.label, name);
      if (!inserted && known->second != name) {
        return AtLine(row.line, absl::StrCat("label ", entry.label, " is called ", Quoted(name),
                                             ", before it was called ", Quoted(known->second)));
      }
    }
    entries_.push_back(std::move(entry));
    return absl::OkStatus();
  }

  ImageList Finish() {
    std::sort(entries_.begin(), entries_.end(),
              [](const Entry& a, const Entry& b) { return a.file < b.file; });
    ImageList list;
    for (const Entry& entry : entries_) {
      list.files.push_back(folder_ / entry.file);
      list.labels.push_back(entry.label);
    }
    // With a gap among the labels there is no name to give; whoever checks the labels says so.
    const bool dense = !names_.empty() && names_.rbegin()->first + 1 == int64_t(names_.size());
    if (dense) {
      for (const auto& [label, name] : names_) list.class_names.push_back(name);
    }
    return list;
  }

 private:
  const std::filesystem::path folder_;
  const Columns columns_;
  std::vector<Entry> entries_;
  std::set<std::string> files_;
  std::map<int32_t, std::string> names_;
};

absl::StatusOr<ImageList> ListRows(const std::filesystem::path& folder,
                                   const std::vector<CsvRow>& rows) {
  if (rows.size() < 2) {
    return absl::InvalidArgumentError("no rows, expected a header and a row for each image");
  }
  ASSIGN_OR_RETURN(Columns columns, FindColumns(rows.front()));
  Table table(folder, columns);
  for (size_t i = 1; i < rows.size(); ++i) {
    RETURN_IF_ERROR(table.Add(rows[i]));
  }
  return table.Finish();
}

}  // namespace

absl::StatusOr<ImageList> ListLabelsCsv(const std::filesystem::path& folder,
                                        const std::filesystem::path& csv) {
  ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(csv));
  absl::StatusOr<std::vector<CsvRow>> rows = ParseCsv(TextOf(file));
  if (!rows.ok()) return InFile(csv, rows.status());
  absl::StatusOr<ImageList> list = ListRows(folder, *rows);
  return list.ok() ? std::move(list) : InFile(csv, list.status());
}

}  // namespace diffusiond
