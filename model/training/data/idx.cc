#include "model/training/data/idx.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/checkpoint/file_status.h"
#include "model/checkpoint/mapped_file.h"
#include "model/training/data/file_text.h"
#include "model/training/data/gunzip.h"

namespace diffusiond {
namespace {

constexpr uint32_t kImagesMagic = 0x00000803;
constexpr uint32_t kLabelsMagic = 0x00000801;
constexpr int64_t kLargestHeaderBytes = 16;

uint32_t BigEndian32(std::string_view bytes, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[offset + i]);
  return value;
}

// The sizes that follow the magic; the rest of the file holds exactly their product in bytes.
struct IdxContent {
  std::vector<int64_t> sizes;
  std::string_view values;
};

absl::StatusOr<IdxContent> ParseIdx(std::string_view bytes, uint32_t expected_magic) {
  const size_t dimensions = expected_magic & 0xff;
  const size_t header_bytes = 4 + 4 * dimensions;
  if (bytes.size() < header_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("idx file has ", bytes.size(), " bytes, its header alone has ", header_bytes));
  }
  if (const uint32_t magic = BigEndian32(bytes, 0); magic != expected_magic) {
    return absl::InvalidArgumentError(
        absl::StrFormat("idx file's magic is 0x%08x, expected 0x%08x", magic, expected_magic));
  }
  IdxContent content;
  int64_t product = 1;
  for (size_t i = 0; i < dimensions; ++i) {
    const int64_t size = BigEndian32(bytes, 4 + 4 * i);
    // The count may be large, the sides not: so the product fits.
    if (size == 0 || (i > 0 && size > kMaxImageSide)) {
      return absl::InvalidArgumentError(
          absl::StrCat("idx file's size ", i, " is ", size, ", expected 1 to ",
                       i > 0 ? int64_t{kMaxImageSide} : int64_t{0xffffffff}));
    }
    content.sizes.push_back(size);
    product *= size;
  }
  content.values = bytes.substr(header_bytes);
  if (static_cast<int64_t>(content.values.size()) != product) {
    return absl::InvalidArgumentError(absl::StrCat("idx file holds ", content.values.size(),
                                                   " values, its header says ", product));
  }
  return content;
}

// An idx file, its bytes expanded if they were not plain.
class IdxFile {
 public:
  static absl::StatusOr<IdxFile> Open(const std::filesystem::path& path, int64_t max_bytes) {
    absl::StatusOr<MappedFile> file = MappedFile::Open(path);
    if (!file.ok()) return file.status();
    IdxFile idx(*std::move(file));
    if (TextOf(idx.file_).starts_with("\x1f\x8b")) {
      absl::StatusOr<std::string> expanded =
          Gunzip(TextOf(idx.file_), max_bytes + kLargestHeaderBytes);
      if (!expanded.ok()) return InFile(path, expanded.status());
      idx.expanded_ = *std::move(expanded);
    }
    return idx;
  }

  std::string_view bytes() const {
    return expanded_ ? std::string_view(*expanded_) : TextOf(file_);
  }

 private:
  explicit IdxFile(MappedFile file) : file_(std::move(file)) {}

  MappedFile file_;
  std::optional<std::string> expanded_;
};

absl::Status ReadLabels(const std::filesystem::path& path, int64_t max_bytes,
                        ImageDataset* dataset) {
  absl::StatusOr<IdxFile> file = IdxFile::Open(path, max_bytes);
  if (!file.ok()) return file.status();
  absl::StatusOr<IdxContent> content = ParseIdx(file->bytes(), kLabelsMagic);
  if (!content.ok()) return InFile(path, content.status());
  if (content->sizes[0] != dataset->size()) {
    return InFile(path, absl::InvalidArgumentError(absl::StrCat(content->sizes[0], " labels for ",
                                                                dataset->size(), " images")));
  }
  dataset->labels.reserve(content->values.size());
  for (const char label : content->values) dataset->labels.push_back(static_cast<uint8_t>(label));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ImageDataset> ReadIdx(const std::filesystem::path& images,
                                     const std::optional<std::filesystem::path>& labels,
                                     int64_t max_bytes) {
  absl::StatusOr<IdxFile> file = IdxFile::Open(images, max_bytes);
  if (!file.ok()) return file.status();
  absl::StatusOr<IdxContent> content = ParseIdx(file->bytes(), kImagesMagic);
  if (!content.ok()) return InFile(images, content.status());

  ImageDataset dataset{.channels = 1,
                       .height = static_cast<int>(content->sizes[1]),
                       .width = static_cast<int>(content->sizes[2]),
                       .pixels = {},
                       .labels = {},
                       .class_names = {},
                       .digest = {}};
  if (absl::Status status =
          CheckDatasetBytes(content->sizes[0], 1, dataset.height, dataset.width, max_bytes);
      !status.ok()) {
    return InFile(images, status);
  }
  dataset.pixels.assign(content->values.begin(), content->values.end());
  if (labels.has_value()) {
    if (absl::Status status = ReadLabels(*labels, max_bytes, &dataset); !status.ok()) return status;
  }
  return dataset;
}

}  // namespace diffusiond
