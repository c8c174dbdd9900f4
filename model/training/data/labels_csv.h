// A table that says which class each image of a folder belongs to.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_LABELS_CSV_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_LABELS_CSV_H_

#include <filesystem>

#include "absl/status/statusor.h"
#include "model/training/data/image_folder.h"

namespace diffusiond {

// The images that `csv` names, relative to `folder`, sorted by name. The first row names the
// columns: `file` and `label` (a class number) must be there, `class` or `group` (the class's name)
// may be, others are passed over. InvalidArgument, with the line, for a column that is missing or
// named twice, a file that does not exist or comes twice, a label that is no number of 0 or more,
// and a label with two names.
absl::StatusOr<ImageList> ListLabelsCsv(const std::filesystem::path& folder,
                                        const std::filesystem::path& csv);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_LABELS_CSV_H_
