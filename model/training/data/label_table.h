// A table that says which class each image of a folder belongs to.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_LABEL_TABLE_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_LABEL_TABLE_H_

#include <filesystem>

#include "absl/status/statusor.h"
#include "model/training/data/image_folder.h"

namespace diffusiond {

// The images that `table` names, relative to `folder`, sorted by name; those that it does not name
// are in `left_out`. It is CSV whose first row names the columns, or, if its name ends with .jsonl,
// a JSON object a line, with the fields of the first. Columns:
//
//   file_name (Hugging Face's metadata), or file            must be there
//   label, or else category                                 its class
//   class or group, beside label                            the name of that class
//
// others are passed over. Labels are numbers from 0, or all of them names, which are numbered in
// the order of their bytes. Without a column of labels the list has none.
//
// InvalidArgument, with the line, for a column that is missing or named twice, a file that does not
// exist or comes twice, a label that is neither, and a label with two names.
absl::StatusOr<ImageList> ListLabelTable(const std::filesystem::path& folder,
                                         const std::filesystem::path& table);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_LABEL_TABLE_H_
