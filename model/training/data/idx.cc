#include "model/training/data/idx.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/files/file_status.h"
#include "model/files/mapped_file.h"
#include "model/status/status_macros.h"
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

struct IdxHeader {
  size_t bytes = 0;
  std::vector<int64_t> sizes;  // They follow the magic.
  int64_t values = 0;          // The sizes' product: one byte each, to the end of the file.
};

absl::StatusOr<IdxHeader> ParseHeader(std::string_view bytes, uint32_t expected_magic) {
  const size_t dimensions = expected_magic & 0xff;
  IdxHeader header{.bytes = 4 + 4 * dimensions, .sizes = {}, .values = 1};
  if (bytes.size() < header.bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("idx file has ", bytes.size(), " bytes, its header alone has ", header.bytes));
  }
  if (const uint32_t magic = BigEndian32(bytes, 0); magic != expected_magic) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "is no idx file of %s: its magic is 0x%08x, expected 0x%08x%s",
        expected_magic == kImagesMagic ? "images" : "labels", magic, expected_magic,
        expected_magic == kImagesMagic ? "; --data takes idx, CIFAR-10's .bin, or a folder of "
                                         "images, which an archive is to be unpacked to"
                                       : ""));
  }
  for (size_t i = 0; i < dimensions; ++i) {
    const int64_t size = BigEndian32(bytes, 4 + 4 * i);
    // The count may be large, the sides not: so the product fits.
    if (size == 0 || (i > 0 && size > kMaxImageSide)) {
      return absl::InvalidArgumentError(
          absl::StrCat("idx file's size ", i, " is ", size, ", expected 1 to ",
                       i > 0 ? int64_t{kMaxImageSide} : int64_t{0xffffffff}));
    }
    header.sizes.push_back(size);
    header.values *= size;
  }
  return header;
}

absl::Status CheckLength(std::string_view values, const IdxHeader& header) {
  if (static_cast<int64_t>(values.size()) == header.values) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("idx file holds ", values.size(), " values, its header says ", header.values));
}

// An idx file, plain or in gzip. Its header comes first, so that it can be judged before a
// compressed file is expanded.
class IdxFile {
 public:
  static absl::StatusOr<IdxFile> Open(const std::filesystem::path& path, uint32_t magic) {
    ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
    IdxFile idx(std::move(file));
    if (absl::Status status = idx.ReadHeader(magic); !status.ok()) return InFile(path, status);
    return idx;
  }

  const std::vector<int64_t>& sizes() const { return header_.sizes; }

  // As many as the header says. A compressed file is expanded no further than that.
  absl::StatusOr<std::string_view> ReadValues() {
    if (!gzip_) return TextOf(file_).substr(header_.bytes);
    const int64_t claimed = header_.values + static_cast<int64_t>(header_.bytes);
    absl::StatusOr<std::string> expanded = Gunzip(TextOf(file_), claimed);
    if (absl::IsResourceExhausted(expanded.status())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "idx file holds more than the ", header_.values, " values that its header says"));
    }
    if (!expanded.ok()) return expanded.status();
    expanded_ = *std::move(expanded);
    const std::string_view values = std::string_view(expanded_).substr(header_.bytes);
    RETURN_IF_ERROR(CheckLength(values, header_));
    return values;
  }

 private:
  explicit IdxFile(MappedFile file)
      : file_(std::move(file)), gzip_(TextOf(file_).starts_with("\x1f\x8b")) {}

  absl::Status ReadHeader(uint32_t magic) {
    absl::StatusOr<std::string> start;
    if (gzip_) {
      start = GunzipStart(TextOf(file_), kLargestHeaderBytes);
      if (!start.ok()) return start.status();
    }
    ASSIGN_OR_RETURN(header_, ParseHeader(gzip_ ? *start : TextOf(file_), magic));
    if (gzip_) return absl::OkStatus();
    return CheckLength(TextOf(file_).substr(header_.bytes), header_);
  }

  MappedFile file_;
  bool gzip_;
  IdxHeader header_;
  std::string expanded_;
};

absl::Status ReadLabels(const std::filesystem::path& path, ImageDataset* dataset) {
  ASSIGN_OR_RETURN(IdxFile file, IdxFile::Open(path, kLabelsMagic));
  if (file.sizes()[0] != dataset->size()) {
    return InFile(path, absl::InvalidArgumentError(absl::StrCat(file.sizes()[0], " labels for ",
                                                                dataset->size(), " images")));
  }
  const absl::StatusOr<std::string_view> values = file.ReadValues();
  if (!values.ok()) return InFile(path, values.status());
  dataset->labels.reserve(values->size());
  for (const char label : *values) dataset->labels.push_back(static_cast<uint8_t>(label));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ImageDataset> ReadIdx(const std::filesystem::path& images,
                                     const std::optional<std::filesystem::path>& labels,
                                     int64_t max_bytes) {
  ASSIGN_OR_RETURN(IdxFile file, IdxFile::Open(images, kImagesMagic));
  ImageDataset dataset{.channels = 1,
                       .height = static_cast<int>(file.sizes()[1]),
                       .width = static_cast<int>(file.sizes()[2]),
                       .pixels = {},
                       .labels = {},
                       .class_names = {},
                       .digest = {}};
  if (absl::Status status =
          CheckDatasetBytes(file.sizes()[0], 1, dataset.height, dataset.width, max_bytes);
      !status.ok()) {
    return InFile(images, status);
  }
  const absl::StatusOr<std::string_view> values = file.ReadValues();
  if (!values.ok()) return InFile(images, values.status());
  dataset.pixels.assign(values->begin(), values->end());
  if (labels.has_value()) {
    RETURN_IF_ERROR(ReadLabels(*labels, &dataset));
  }
  return dataset;
}

}  // namespace diffusiond
