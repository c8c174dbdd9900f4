// Comma-separated values (RFC 4180).
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_CSV_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_CSV_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace diffusiond {

struct CsvRow {
  int line = 0;  // Where it begins, from 1.
  std::vector<std::string> fields;
  std::vector<size_t> nested = {};  // Of JSON: fields that are an object or an array, ascending.
};

// All rows, the header among them. Fields may be quoted; "" inside quotes is one quote. Lines end
// with LF or CRLF; empty lines and a UTF-8 byte order mark are skipped. InvalidArgument, with the
// line, for UTF-16, a quote that is never closed, text after a closing quote, and a row whose
// number of fields is not the first one's.
absl::StatusOr<std::vector<CsvRow>> ParseCsv(std::string_view text);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_CSV_H_
