#include "model/training/data/cifar10.h"

#include <cstddef>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "model/files/file_status.h"
#include "model/files/mapped_file.h"
#include "model/status/status_macros.h"
#include "model/training/data/file_text.h"

namespace diffusiond {
namespace {

constexpr int kSide = 32;
constexpr int kChannels = 3;
constexpr int kClasses = 10;
constexpr size_t kPixelBytes = size_t{kChannels} * kSide * kSide;
constexpr size_t kRecordBytes = 1 + kPixelBytes;

absl::Status AppendRecords(std::string_view records, ImageDataset* dataset) {
  for (size_t offset = 0; offset < records.size(); offset += kRecordBytes) {
    const int label = static_cast<uint8_t>(records[offset]);
    if (label >= kClasses) {
      return absl::InvalidArgumentError(absl::StrCat("label of record ", offset / kRecordBytes,
                                                     " is ", label, ", expected 0 to ",
                                                     kClasses - 1));
    }
    dataset->labels.push_back(label);
    const std::string_view planes = records.substr(offset + 1, kPixelBytes);
    dataset->pixels.insert(dataset->pixels.end(), planes.begin(), planes.end());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ImageDataset> ReadCifar10(std::span<const std::filesystem::path> files,
                                         int64_t max_bytes) {
  std::vector<MappedFile> maps;
  size_t records = 0;
  for (const std::filesystem::path& path : files) {
    ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
    const size_t size = TextOf(file).size();
    if (size == 0 || size % kRecordBytes != 0) {
      return InFile(
          path, absl::InvalidArgumentError(absl::StrCat(
                    "CIFAR-10 file has ", size, " bytes, expected a multiple of ", kRecordBytes)));
    }
    records += size / kRecordBytes;
    maps.push_back(std::move(file));
  }
  if (absl::Status status = CheckDatasetBytes(records, kChannels, kSide, kSide, max_bytes);
      !status.ok()) {
    return InFile(files.front(), status);
  }

  ImageDataset dataset{.channels = kChannels,
                       .height = kSide,
                       .width = kSide,
                       .pixels = {},
                       .labels = {},
                       .class_names = {},
                       .digest = {}};
  dataset.pixels.reserve(records * kPixelBytes);
  dataset.labels.reserve(records);
  for (size_t i = 0; i < maps.size(); ++i) {
    if (absl::Status status = AppendRecords(TextOf(maps[i]), &dataset); !status.ok()) {
      return InFile(files[i], status);
    }
  }
  return dataset;
}

absl::StatusOr<std::vector<std::string>> ReadCifar10ClassNames(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(MappedFile map, MappedFile::Open(file));
  const std::string text(TextOf(map));
  std::vector<std::string> names;
  for (absl::string_view line : absl::StrSplit(text, absl::ByAnyChar("\r\n"), absl::SkipEmpty())) {
    names.emplace_back(line);
  }
  if (names.size() != kClasses) {
    return InFile(file, absl::InvalidArgumentError(
                            absl::StrCat(names.size(), " class names, expected ", kClasses)));
  }
  return names;
}

std::vector<std::string> Cifar10ClassNames() {
  return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
}

}  // namespace diffusiond
