// One door to every kind of training data.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_OPEN_DATASET_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_OPEN_DATASET_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/training/data/dataset.h"
#include "model/training/data/read_images.h"

namespace diffusiond {

enum class DatasetSplit { kTrain, kTest };

struct DatasetSpec {
  std::filesystem::path path;  // A folder, an idx image file, or a CIFAR-10 .bin file.
  DatasetSplit split = DatasetSplit::kTrain;
  // For a folder of images: labels instead of sub-folders (see ListLabelTable).
  std::optional<std::filesystem::path> labels_csv;
  // Instead of the data's own names, in label order. Labels must lie within them.
  std::vector<std::string> class_names;
  int64_t max_images = 0;  // Keep at most so many, EvenlySpread. 0 or less: all.
  int64_t max_bytes = kMaxDatasetBytes;
  // For images in files: see ReadOptions.
  double max_left_out = 0.05;
  int resolution = 0;
  Crop crop = Crop::kNone;
  std::filesystem::path cache = {};
};

// Reads all of it into memory, recognising its kind by what is there, in this order:
//
//   files                                   kind         training split        test split
//   *-images-idx3-ubyte[.gz] (also          idx          train-*               t10k-* or test-*
//     *-images.idx3-ubyte[.gz])
//   data_batch_*.bin, test_batch.bin        CIFAR-10     data_batch_*.bin,     test_batch.bin
//                                                        sorted by name
//   `labels_csv`, or labels.csv itself      image folder all                   none
//   sub-folders train and test, validation, image folder train/                the first of these
//     valid or val, no others                                                  that is there
//   images, sub-folders of images, or       image folder all                   none
//     Hugging Face's metadata.csv or .jsonl
//
// Each split's folder may have a table of labels (labels.csv, metadata.csv, metadata.jsonl) of its
// own; metadata.csv and .jsonl above them are not read, of which `warnings` tells.
//
// In a folder of idx files the labels must be there (with -labels-idx1- for -images-idx3-); an idx
// image file given by its own path is unlabelled if they are not. A file given by its own path is
// the whole of either split.
//
// The classes in test/ are numbered as those in train/ are, though some may be missing.
//
// Nothing is repaired, and nothing passed over in silence: what is left out of a folder of images
// is named in `warnings`, or if it is too much, as ReadImages says, refused. InvalidArgument as
// ReadIdx, ReadCifar10, ListImageFolder, ListLabelTable, ReadImages and NameClasses, for options
// that do not fit the kind, and for a class in test/ that train/ lacks; NotFound if there is no
// such path, or no file of labels; OutOfRange, and for nothing else, if the data has no such split;
// ResourceExhausted past `max_bytes`.
absl::StatusOr<ImageDataset> OpenDataset(const DatasetSpec& spec);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_OPEN_DATASET_H_
