#include "model/imaging/webp_xmp.h"

#include <webp/decode.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "model/imaging/chunks.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// The first byte of VP8X: what the file has beside its picture.
constexpr uint8_t kHasXmp = 0x04;
constexpr uint8_t kHasAlpha = 0x10;

bool IsWebp(std::string_view bytes) {
  return bytes.size() >= kRiffHeaderBytes && bytes.starts_with("RIFF") &&
         bytes.substr(8).starts_with("WEBP");
}

bool IsImage(const Chunk& chunk) { return chunk.type == "VP8 " || chunk.type == "VP8L"; }

// Neither cut short nor without the padding that lets another chunk follow.
bool IsWhole(const Chunk& chunk) {
  return chunk.bytes == RiffChunkBytes(chunk.type, chunk.content);
}

std::string Riff(std::string_view chunks) {
  return absl::StrCat("RIFF",
                      NumberBytes(static_cast<uint32_t>(chunks.size() + 4), 4, ByteOrder::kLittle),
                      "WEBP", std::string(chunks));
}

absl::Status EndsEarly() {
  return absl::InvalidArgumentError("WebP is damaged: it ends too early");
}

// What the file's header announces, behind it. INVALID_ARGUMENT: not all of it is there.
absl::StatusOr<std::string_view> ContentOf(std::string_view webp) {
  if (!IsWebp(webp)) return absl::InvalidArgumentError("not a WebP");
  const size_t announced = size_t{8} + Number(webp.substr(4), 4, ByteOrder::kLittle);
  if (announced > webp.size() || announced < kRiffHeaderBytes) {
    return EndsEarly();
  }
  return webp.substr(0, announced).substr(kRiffHeaderBytes);
}

std::string Extension(const WebPBitstreamFeatures& features) {
  std::string content(1, static_cast<char>(kHasXmp | (features.has_alpha ? kHasAlpha : 0)));
  content.append(3, '\0');
  content += NumberBytes(static_cast<uint32_t>(features.width - 1), 3, ByteOrder::kLittle);
  content += NumberBytes(static_cast<uint32_t>(features.height - 1), 3, ByteOrder::kLittle);
  return RiffChunkBytes("VP8X", content);
}

}  // namespace

absl::StatusOr<std::string> AddWebpXmp(std::string_view webp, std::string_view packet) {
  ASSIGN_OR_RETURN(std::string_view rest, ContentOf(webp));
  const std::optional<Chunk> image = TakeRiffChunk(&rest);
  WebPBitstreamFeatures features;
  if (!image.has_value() || !IsImage(*image) || !IsWhole(*image) || !rest.empty() ||
      WebPGetFeatures(reinterpret_cast<const uint8_t*>(webp.data()), webp.size(), &features) !=
          VP8_STATUS_OK) {
    return absl::InvalidArgumentError("WebP is not of the simple format");
  }
  return Riff(
      absl::StrCat(Extension(features), std::string(image->bytes), RiffChunkBytes("XMP ", packet)));
}

absl::StatusOr<WebpXmp> TakeWebpXmp(std::string_view webp) {
  ASSIGN_OR_RETURN(std::string_view rest, ContentOf(webp));
  std::optional<std::string_view> packet;
  std::string without;
  bool extended = false, others = false;  // Chunks beside the image's and the packet's.
  size_t flags_at = 0, extension_end = 0;
  while (const std::optional<Chunk> chunk = TakeRiffChunk(&rest)) {
    const size_t length = Number(chunk->bytes.substr(4), 4, ByteOrder::kLittle);
    if (chunk->content.size() < length) return EndsEarly();
    if (chunk->type == "XMP " && !packet.has_value()) {
      packet = chunk->content;
      continue;
    }
    if (without.empty() && chunk->type == "VP8X" && !chunk->content.empty()) {
      extended = true;
      flags_at = chunk->content.data() - chunk->bytes.data();
      extension_end = chunk->bytes.size();
    } else {
      others = others || !IsImage(*chunk);
    }
    without.append(chunk->bytes);
  }
  if (!packet.has_value()) return absl::NotFoundError("no XMP");
  if (extended && others) without[flags_at] = static_cast<char>(without[flags_at] & ~kHasXmp);
  if (extended && !others) without.erase(0, extension_end);
  return WebpXmp{.packet = std::string(*packet), .webp = Riff(without)};
}

}  // namespace diffusiond
