// Any bytes as a table of labels, CSV and lines of JSON: it is refused, or lists images of the
// folder with labels that have classes.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "model/training/data/csv.h"
#include "model/training/data/json_lines.h"
#include "model/training/data/label_table.h"
#include "tests/fuzz/scratch_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace diffusiond;
  static const ScratchFolder* const folder = [] {
    static ScratchFolder made;
    for (const char* name : {"0.png", "1.png", "2.png"}) made.Write(name, "\x89PNG\r\n\x1a\n");
    return &made;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& rows : {ParseCsv(text), ParseJsonLines(text)}) {
    if (!rows.ok() && !absl::IsInvalidArgument(rows.status())) std::abort();
    if (!rows.ok()) continue;
    for (const CsvRow& row : *rows) {
      if (row.fields.size() != rows->front().fields.size()) std::abort();
    }
  }
  for (const char* name : {"labels.csv", "metadata.jsonl"}) {
    folder->Write(name, text);
    const auto list = ListLabelTable(folder->path(), folder->path() / name);
    if (!list.ok()) {
      if (!absl::IsInvalidArgument(list.status())) std::abort();
      continue;
    }
    if (list->files.empty() || list->files.size() > 3) std::abort();
    if (!list->labels.empty() && list->labels.size() != list->files.size()) std::abort();
    for (const int32_t label : list->labels) {
      if (label < 0) std::abort();
      if (!list->class_names.empty() && static_cast<size_t>(label) >= list->class_names.size()) {
        std::abort();
      }
    }
  }
  return 0;
}
