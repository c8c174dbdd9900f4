// The idx format of MNIST and its kin.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_IDX_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_IDX_H_

#include <cstdint>
#include <filesystem>
#include <optional>

#include "absl/status/statusor.h"
#include "model/training/data/dataset.h"

namespace diffusiond {

// Format, big endian: u32 magic 0x00000803, u32 count, u32 rows, u32 columns, then count * rows *
// columns grey bytes; for labels u32 magic 0x00000801, u32 count, then count bytes. A file that
// begins with gzip's magic is expanded first, whatever its name.
//
// Labels become 0 .. 255 as they are; class_names and digest are left empty. InvalidArgument,
// naming the file, for another magic, no images, a size other than the header's (truncated or too
// long), damaged gzip, and a number of labels that is not the images'. ResourceExhausted past
// `max_bytes`.
absl::StatusOr<ImageDataset> ReadIdx(const std::filesystem::path& images,
                                     const std::optional<std::filesystem::path>& labels,
                                     int64_t max_bytes = kMaxDatasetBytes);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_IDX_H_
