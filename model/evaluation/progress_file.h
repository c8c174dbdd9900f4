// Tables of numbers that a long measurement keeps on disk, to go on from after a crash.
#ifndef DIFFUSIOND_MODEL_EVALUATION_PROGRESS_FILE_H_
#define DIFFUSIOND_MODEL_EVALUATION_PROGRESS_FILE_H_

#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace diffusiond {

struct NumberTable {
  size_t columns = 0;
  std::vector<double> values;  // Row-major.

  size_t rows() const { return columns == 0 ? 0 : values.size() / columns; }
  std::span<const double> row(size_t index) const {
    return std::span(values).subspan(index * columns, columns);
  }
  void AppendRow(std::initializer_list<double> row) {
    columns = row.size();
    values.insert(values.end(), row);
  }
};

using NumberTables = std::map<std::string, NumberTable>;

// One safetensors file of F64 tensors [rows, columns], replaced atomically: after a crash it holds
// the old tables or the new. `fingerprint` names what was measured.
absl::Status SaveNumberTables(const std::filesystem::path& path, const NumberTables& tables,
                              const std::string& fingerprint);

// Every table of `columns` (by name, with its number of columns) must be there. NOT_FOUND: no such
// file. FAILED_PRECONDITION: another fingerprint. INVALID_ARGUMENT: damaged.
absl::StatusOr<NumberTables> LoadNumberTables(const std::filesystem::path& path,
                                              const std::string& fingerprint,
                                              const std::map<std::string, size_t>& columns);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_PROGRESS_FILE_H_
