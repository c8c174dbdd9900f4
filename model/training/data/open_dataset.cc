#include "model/training/data/open_dataset.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"
#include "model/training/data/cifar10.h"
#include "model/training/data/folder_listing.h"
#include "model/training/data/idx.h"
#include "model/training/data/image_folder.h"
#include "model/training/data/label_table.h"
#include "model/training/data/labels.h"

namespace diffusiond {
namespace {

using Path = std::filesystem::path;

constexpr const char* kTestBatch = "test_batch.bin";
constexpr const char* kTrain = "train";
// Of these, the first that is there is what is measured on.
constexpr const char* kTestFolders[] = {"test", "validation", "valid", "val"};
// Ours, which must have labels, and Hugging Face's, which may have captions alone.
constexpr const char* kLabelsCsv = "labels.csv";
constexpr const char* kLabelTables[] = {kLabelsCsv, "metadata.csv", "metadata.jsonl"};

bool IsIdxImages(std::string_view name) {
  return name.find("images-idx3-ubyte") != name.npos || name.find("images.idx3-ubyte") != name.npos;
}

bool IsCifarTraining(std::string_view name) {
  return name.starts_with("data_batch") && name.ends_with(".bin");
}

// The labels' file that belongs to an idx file of images: plain or .gz, whatever the images are.
std::optional<Path> IdxLabelsOf(const Path& images) {
  std::string name = absl::StrReplaceAll(
      images.filename().string(),
      {{"images-idx3-ubyte", "labels-idx1-ubyte"}, {"images.idx3-ubyte", "labels.idx1-ubyte"}});
  if (name == images.filename().string()) return std::nullopt;
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  for (const std::string& candidate : {name, name + ".gz"}) {
    std::error_code error;
    if (const Path path = images.parent_path() / candidate;
        std::filesystem::is_regular_file(path, error)) {
      return path;
    }
  }
  return std::nullopt;
}

absl::Status NoSplit(const DatasetSpec& spec, const char* expected) {
  const char* split = spec.split == DatasetSplit::kTrain ? "training" : "test";
  return InFile(spec.path, absl::OutOfRangeError(
                               absl::StrCat("there is no ", split, " split, expected ", expected)));
}

absl::Status NeedsNoCsv(const DatasetSpec& spec, const char* kind) {
  return InFile(spec.path, absl::InvalidArgumentError(
                               absl::StrCat("--labels_csv=", spec.labels_csv->string(),
                                            " is given, but ", kind, " has labels of its own")));
}

// Checks the labels, which came from `source`, and names their classes: as `spec` says, else as
// `names` does.
absl::StatusOr<std::vector<std::string>> NamesFor(const DatasetSpec& spec, const Path& source,
                                                  std::span<const int32_t> labels,
                                                  const std::vector<std::string>& names) {
  if (labels.empty()) {
    if (spec.class_names.empty()) return std::vector<std::string>();
    return InFile(source,
                  absl::InvalidArgumentError("--class_names is given, but the data has no labels"));
  }
  absl::StatusOr<std::vector<std::string>> checked =
      NameClasses(labels, spec.class_names.empty() ? names : spec.class_names);
  return checked.ok() ? std::move(checked) : InFile(source, checked.status());
}

absl::StatusOr<ImageDataset> ReadNamedIdx(const DatasetSpec& spec, const Path& images,
                                          const std::optional<Path>& labels) {
  absl::StatusOr<ImageDataset> dataset = ReadIdx(images, labels, spec.max_bytes);
  if (!dataset.ok()) return dataset;
  ASSIGN_OR_RETURN(dataset->class_names,
                   NamesFor(spec, labels.value_or(images), dataset->labels, {}));
  return dataset;
}

absl::StatusOr<ImageDataset> OpenIdx(const DatasetSpec& spec, const FolderListing& listing) {
  if (spec.labels_csv.has_value()) return NeedsNoCsv(spec, "idx data");
  for (const std::string& name : listing.files) {
    const bool belongs = spec.split == DatasetSplit::kTrain
                             ? name.starts_with("train")
                             : name.starts_with("t10k") || name.starts_with("test");
    if (!IsIdxImages(name) || !belongs) continue;
    const Path images = spec.path / name;
    const std::optional<Path> labels = IdxLabelsOf(images);
    if (!labels.has_value()) {
      return InFile(images, absl::NotFoundError("there is no idx file of labels beside it"));
    }
    return ReadNamedIdx(spec, images, labels);
  }
  return NoSplit(spec, spec.split == DatasetSplit::kTrain
                           ? "train-images-idx3-ubyte[.gz]"
                           : "t10k-images-idx3-ubyte[.gz] or test-images-idx3-ubyte[.gz]");
}

absl::StatusOr<ImageDataset> ReadCifarWithNames(const DatasetSpec& spec, const Path& folder,
                                                const std::vector<Path>& files) {
  if (spec.labels_csv.has_value()) return NeedsNoCsv(spec, "CIFAR-10 data");
  absl::StatusOr<ImageDataset> dataset = ReadCifar10(files, spec.max_bytes);
  if (!dataset.ok()) return dataset;
  absl::StatusOr<std::vector<std::string>> names = Cifar10ClassNames();
  const Path meta = folder / "batches.meta.txt";
  std::error_code error;
  if (std::filesystem::exists(meta, error)) names = ReadCifar10ClassNames(meta);
  if (names.ok()) names = NamesFor(spec, files.front(), dataset->labels, *names);
  if (!names.ok()) return names.status();
  dataset->class_names = *std::move(names);
  return dataset;
}

absl::StatusOr<ImageDataset> OpenCifar(const DatasetSpec& spec, const FolderListing& listing) {
  std::vector<Path> files;
  for (const std::string& name : listing.files) {
    if (spec.split == DatasetSplit::kTrain ? IsCifarTraining(name) : name == kTestBatch) {
      files.push_back(spec.path / name);
    }
  }
  if (files.empty()) {
    return NoSplit(spec, spec.split == DatasetSplit::kTrain ? "data_batch_*.bin" : kTestBatch);
  }
  return ReadCifarWithNames(spec, spec.path, files);
}

// A folder's images, and where their labels are from.
struct Listed {
  ImageList images;
  Path source;
  std::vector<std::string> warnings;
};

// Listed first, so that labels are checked and images chosen before any is decoded.
absl::StatusOr<ImageDataset> ReadListed(const DatasetSpec& spec, Listed listed) {
  ImageList& images = listed.images;
  ASSIGN_OR_RETURN(images.class_names,
                   NamesFor(spec, listed.source, images.labels, images.class_names));
  const std::vector<int64_t> chosen =
      EvenlySpread(static_cast<int64_t>(images.files.size()), spec.max_images);
  for (size_t i = 0; i < chosen.size(); ++i) {
    const auto from = static_cast<size_t>(chosen[i]);
    if (from == i) continue;
    images.files[i] = std::move(images.files[from]);
    if (!images.labels.empty()) images.labels[i] = images.labels[from];
  }
  images.files.resize(chosen.size());
  if (!images.labels.empty()) images.labels.resize(chosen.size());
  absl::StatusOr<ImageDataset> dataset = ReadImages(images, {.max_bytes = spec.max_bytes,
                                                             .max_left_out = spec.max_left_out,
                                                             .resolution = spec.resolution,
                                                             .crop = spec.crop,
                                                             .cache = spec.cache});
  if (absl::IsResourceExhausted(dataset.status())) {
    // Data of other kinds is judged as a whole, before some of it is taken.
    return absl::ResourceExhaustedError(
        absl::StrCat(dataset.status().message(), "; --max_images takes fewer"));
  }
  if (!dataset.ok()) return dataset;
  dataset->warnings.insert(dataset->warnings.begin(), listed.warnings.begin(),
                           listed.warnings.end());
  return dataset;
}

// What is likely one level too high: a sub-folder is a class.
void WarnOfSubFolders(const Path& folder, const FolderListing& listing, Listed* listed) {
  if (listed->images.class_names.empty()) return;
  for (const std::string& name : listing.folders) {
    for (const char* table : kLabelTables) {
      std::error_code error;
      const Path path = folder / name / table;
      if (!std::filesystem::is_regular_file(path, error)) continue;
      listed->warnings.push_back(
          absl::StrCat(path.string(), ": is not used: its folder is taken for the class ", name,
                       "; --data=", (folder / name).string(), " reads it"));
    }
  }
  if (listing.folders.size() == 1) {
    listed->warnings.push_back(
        absl::StrCat(folder.string(), ": all images are of one class, ", listing.folders.front(),
                     ", the only sub-folder; --data=", (folder / listing.folders.front()).string(),
                     " takes them as images without classes"));
  }
}

// By a table of labels, if there is one; else by sub-folders.
absl::StatusOr<Listed> ListImages(const Path& folder, const std::optional<Path>& given) {
  Listed listed;
  ASSIGN_OR_RETURN(FolderListing listing, ListFolder(folder));
  std::optional<Path> table = given;
  for (const char* name : kLabelTables) {
    if (!table.has_value() && listing.HasFile(name)) table = folder / name;
  }
  if (table.has_value()) {
    listed.source = *table;
    ASSIGN_OR_RETURN(listed.images, ListLabelTable(folder, *table));
    if (!listed.images.labels.empty()) return listed;
    constexpr const char* kNoLabels = "there is no column named label";
    if (given.has_value() || table->filename() == kLabelsCsv) {
      return InFile(*table, absl::InvalidArgumentError(kNoLabels));
    }
    listed.warnings.push_back(absl::StrCat(table->string(), ": is not used: ", kNoLabels));
  }
  listed.source = folder;
  ASSIGN_OR_RETURN(listed.images, ListImageFolder(folder));
  WarnOfSubFolders(folder, listing, &listed);
  return listed;
}

// The folder above the splits is where Hugging Face may have one table for all of them.
void WarnOfTableAbove(const Path& root, const FolderListing& listing,
                      const std::vector<std::string>& splits, Listed* listed) {
  for (const char* name : kLabelTables) {
    if (!listing.HasFile(name)) continue;
    listed->warnings.push_back(absl::StrCat((root / name).string(), ": is not used: ", splits[0],
                                            "/ and ", splits[1],
                                            "/ are read, each by a table of its own or none"));
  }
}

// Numbers the classes of `list`, the images in `folder`, as those in `train` are numbered.
absl::Status NumberAs(const Path& train, const Path& folder, ImageList* list) {
  ASSIGN_OR_RETURN(const Listed trained, ListImages(train, std::nullopt));
  const std::vector<std::string>& classes = trained.images.class_names;
  if (list->labels.empty() && !trained.images.labels.empty()) {
    return InFile(folder, absl::InvalidArgumentError(absl::StrCat(
                              "images right in it, expected sub-folders as in ", train.string())));
  }
  const std::vector<int32_t> numbers = IndicesIn(classes, list->class_names);
  if (const auto unknown = std::find(numbers.begin(), numbers.end(), -1);
      unknown != numbers.end()) {
    const std::string& name = list->class_names[static_cast<size_t>(unknown - numbers.begin())];
    return InFile(folder / name, absl::InvalidArgumentError(
                                     absl::StrCat("there is no such class in ", train.string())));
  }
  if (!numbers.empty()) Renumber(numbers, &list->labels);
  list->class_names = classes;
  list->numbered_by_name = trained.images.numbered_by_name;
  return absl::OkStatus();
}

// The folders that are a split: train first, then what there is of kTestFolders; empty if there are
// others, or only one.
std::vector<std::string> SplitFolders(const FolderListing& listing) {
  std::vector<std::string> splits;
  if (std::binary_search(listing.folders.begin(), listing.folders.end(), kTrain)) {
    splits.emplace_back(kTrain);
  }
  for (const char* name : kTestFolders) {
    if (std::binary_search(listing.folders.begin(), listing.folders.end(), name)) {
      splits.emplace_back(name);
    }
  }
  const bool all = splits.size() == listing.folders.size();
  return all && splits.size() > 1 && splits.front() == kTrain ? splits : std::vector<std::string>();
}

absl::StatusOr<ImageDataset> OpenImages(const DatasetSpec& spec, const FolderListing& listing) {
  const std::vector<std::string> splits = SplitFolders(listing);
  if (!spec.labels_csv.has_value() && !splits.empty() && !listing.HasFile(kLabelsCsv)) {
    const Path folder = spec.path / splits[spec.split == DatasetSplit::kTrain ? 0 : 1];
    ASSIGN_OR_RETURN(Listed listed, ListImages(folder, std::nullopt));
    if (spec.split == DatasetSplit::kTest) {
      RETURN_IF_ERROR(NumberAs(spec.path / kTrain, folder, &listed.images));
    }
    WarnOfTableAbove(spec.path, listing, splits, &listed);
    for (size_t i = 2; i < splits.size() && spec.split == DatasetSplit::kTrain; ++i) {
      listed.warnings.push_back(absl::StrCat((spec.path / splits[i]).string(), ": is not used; ",
                                             splits[1], "/ is what is measured on"));
    }
    return ReadListed(spec, std::move(listed));
  }
  if (spec.split == DatasetSplit::kTest) {
    return NoSplit(spec, "sub-folders train and test (or validation, valid, val)");
  }
  ASSIGN_OR_RETURN(Listed listed, ListImages(spec.path, spec.labels_csv));
  return ReadListed(spec, std::move(listed));
}

absl::StatusOr<ImageDataset> OpenFile(const DatasetSpec& spec) {
  if (spec.path.extension() == ".bin") {
    return ReadCifarWithNames(spec, spec.path.parent_path(), {spec.path});
  }
  if (spec.labels_csv.has_value()) return NeedsNoCsv(spec, "an idx file");
  return ReadNamedIdx(spec, spec.path, IdxLabelsOf(spec.path));
}

absl::StatusOr<ImageDataset> OpenAny(const DatasetSpec& spec) {
  std::error_code error;
  if (std::filesystem::is_regular_file(spec.path, error)) return OpenFile(spec);
  ASSIGN_OR_RETURN(FolderListing listing, ListFolder(spec.path));
  const std::vector<std::string>& files = listing.files;
  if (std::any_of(files.begin(), files.end(), IsIdxImages)) return OpenIdx(spec, listing);
  if (listing.HasFile(kTestBatch) || std::any_of(files.begin(), files.end(), IsCifarTraining)) {
    return OpenCifar(spec, listing);
  }
  return OpenImages(spec, listing);
}

}  // namespace

absl::StatusOr<ImageDataset> OpenDataset(const DatasetSpec& spec) {
  absl::StatusOr<ImageDataset> dataset = OpenAny(spec);
  if (!dataset.ok()) return dataset;
  if (spec.resolution > 0 && dataset->height != spec.resolution &&
      dataset->width != spec.resolution) {
    return InFile(spec.path, absl::InvalidArgumentError(absl::StrCat(
                                 "--resolution=", spec.resolution,
                                 " is given, but images of idx and CIFAR-10 data stay ",
                                 dataset->width, " x ", dataset->height)));
  }
  if (spec.max_images > 0 && spec.max_images < dataset->size()) {
    KeepOnly(EvenlySpread(dataset->size(), spec.max_images), &*dataset);
    return dataset;
  }
  dataset->digest = DigestOf(*dataset);
  return dataset;
}

}  // namespace diffusiond
