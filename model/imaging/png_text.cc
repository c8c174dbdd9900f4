#include "model/imaging/png_text.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "model/imaging/chunks.h"

namespace diffusiond {
namespace {

constexpr std::string_view kSignature = "\x89PNG\r\n\x1a\n";
static_assert(kSignature.size() == kPngSignatureBytes);
// Behind the keyword: its end, no compression, of method 0, no language, no translated keyword.
constexpr std::string_view kPlain("\0\0\0\0\0", 5);

absl::Status Damaged(absl::string_view how) {
  return absl::InvalidArgumentError(absl::StrCat("PNG is damaged: ", how));
}

absl::Status NoPng() { return absl::InvalidArgumentError("not a PNG"); }

}  // namespace

absl::StatusOr<std::string> AddPngText(std::string_view png, std::string_view keyword,
                                       std::string_view text) {
  if (!png.starts_with(kSignature)) return NoPng();
  std::string_view rest = png.substr(kPngSignatureBytes);
  const std::optional<Chunk> header = TakePngChunk(&rest);
  if (!header.has_value() || header->type != "IHDR") return Damaged("it has no header");
  std::string content(keyword);
  content.append(kPlain).append(text);
  std::string with(png.substr(0, png.size() - rest.size()));
  return with.append(PngChunkBytes("iTXt", content)).append(rest);
}

absl::StatusOr<PngText> TakePngText(std::string_view png, std::string_view keyword) {
  if (!png.starts_with(kSignature)) return NoPng();
  std::string_view rest = png.substr(kPngSignatureBytes);
  while (const std::optional<Chunk> chunk = TakePngChunk(&rest)) {
    if (!IsIntact(*chunk)) return Damaged("a checksum does not fit");
    if (chunk->type == "IEND") {
      return absl::NotFoundError(absl::StrCat("no text '", std::string(keyword), "'"));
    }
    std::string_view content = chunk->content;
    if (chunk->type != "iTXt" || !content.starts_with(keyword)) continue;
    content.remove_prefix(keyword.size());
    if (!content.starts_with('\0')) continue;  // A longer keyword.
    if (!content.starts_with(kPlain)) {
      return absl::InvalidArgumentError(
          absl::StrCat("its text '", std::string(keyword), "' is not as it was written"));
    }
    PngText found{.text = std::string(content.substr(kPlain.size())),
                  .png = std::string(png.substr(0, chunk->bytes.data() - png.data()))};
    found.png.append(rest);
    return found;
  }
  return Damaged("it ends too early");
}

}  // namespace diffusiond
