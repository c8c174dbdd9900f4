// Tables as lines of JSON: an object a row (jsonlines.org), as Hugging Face's metadata.jsonl is.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_JSON_LINES_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_JSON_LINES_H_

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "model/training/data/csv.h"

namespace diffusiond {

// As the same table would be in CSV: the header first, which has the first object's fields. Strings
// are as they are, other values in JSON; a field that is missing or null is empty, one that the
// first object lacks is passed over. Empty lines are skipped. InvalidArgument, with the line, for
// one that is no object.
absl::StatusOr<std::vector<CsvRow>> ParseJsonLines(std::string_view text);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_JSON_LINES_H_
