#include "model/training/data/gunzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

constexpr int kGzipOnly = 16 + MAX_WBITS;
constexpr size_t kChunkBytes = size_t{1} << 18;

class Inflater {
 public:
  Inflater() : ready_(inflateInit2(&stream_, kGzipOnly) == Z_OK) {}
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() {
    if (ready_) inflateEnd(&stream_);
  }

  bool ready() const { return ready_; }
  z_stream* stream() { return &stream_; }

 private:
  z_stream stream_{};
  const bool ready_;
};

// Expands until the end, or until there are more than `enough` bytes.
absl::StatusOr<std::string> Expand(std::string_view bytes, int64_t enough) {
  Inflater inflater;
  if (!inflater.ready()) return absl::ResourceExhaustedError("no memory to expand gzip");
  z_stream* stream = inflater.stream();
  std::string expanded;
  std::vector<unsigned char> chunk(kChunkBytes);
  while (true) {
    const size_t piece = std::min<size_t>(bytes.size(), std::numeric_limits<uInt>::max());
    // zlib does not write to its input.
    stream->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream->avail_in = static_cast<uInt>(piece);
    stream->next_out = chunk.data();
    stream->avail_out = static_cast<uInt>(chunk.size());
    const int result = inflate(stream, Z_NO_FLUSH);
    bytes.remove_prefix(piece - stream->avail_in);
    const size_t produced = chunk.size() - stream->avail_out;
    expanded.append(reinterpret_cast<const char*>(chunk.data()), produced);
    if (static_cast<int64_t>(expanded.size()) > enough) return expanded;
    if (result == Z_STREAM_END) {
      if (bytes.empty()) return expanded;
      inflateReset(stream);
    } else if (result == Z_BUF_ERROR) {
      return absl::InvalidArgumentError(
          absl::StrCat("gzip is truncated after ", expanded.size(), " expanded bytes"));
    } else if (result != Z_OK) {
      return absl::InvalidArgumentError(absl::StrCat(
          "gzip is damaged after ", expanded.size(), " expanded bytes",
          stream->msg != nullptr ? ": " : "", stream->msg != nullptr ? stream->msg : ""));
    }
  }
}

}  // namespace

absl::StatusOr<std::string> Gunzip(std::string_view bytes, int64_t max_bytes) {
  absl::StatusOr<std::string> expanded = Expand(bytes, max_bytes);
  if (expanded.ok() && static_cast<int64_t>(expanded->size()) > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("gzip expands to more than ", max_bytes, " bytes"));
  }
  return expanded;
}

absl::StatusOr<std::string> GunzipStart(std::string_view bytes, int64_t size) {
  absl::StatusOr<std::string> expanded = Expand(bytes, size);
  if (expanded.ok() && static_cast<int64_t>(expanded->size()) > size) expanded->resize(size);
  return expanded;
}

}  // namespace diffusiond
