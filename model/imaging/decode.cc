#include "model/imaging/decode.h"

#include "absl/strings/str_cat.h"
#include "model/imaging/jpeg.h"
#include "model/imaging/png.h"
#include "model/imaging/samples.h"
#include "model/imaging/webp.h"
#include "model/status/status_macros.h"

namespace diffusiond {

std::string_view PictureFormat(std::string_view bytes) {
  struct Signature {
    std::string_view start;
    size_t at;
    std::string_view then;
    std::string_view format;
  };
  using std::string_view_literals::operator""sv;
  constexpr Signature kSignatures[] = {
      {"\x89PNG\r\n\x1a\n", 0, "", "PNG"},
      {"\xff\xd8\xff", 0, "", "JPEG"},
      {"RIFF", 8, "WEBP", "WebP"},
      {"GIF8", 5, "a", "GIF"},
      {"BM", 6, "\0\0\0\0"sv, "BMP"},
      {"II*\0"sv, 0, "", "TIFF"},
      {"MM\0*"sv, 0, "", "TIFF"},
      {"", 4, "ftypavif", "AVIF"},
      {"", 4, "ftyphei", "HEIF"},
      {"", 4, "ftypmif1", "HEIF"},
      {"\xff\x0a", 0, "", "JPEG XL"},
      {"\0\0\0\x0cJXL "sv, 0, "", "JPEG XL"},
      {"\0\0\0\x0cjP  "sv, 0, "", "JPEG 2000"},
  };
  for (const Signature& signature : kSignatures) {
    if (bytes.size() >= signature.at && bytes.starts_with(signature.start) &&
        bytes.substr(signature.at).starts_with(signature.then)) {
      return signature.format;
    }
  }
  return "";
}

namespace {

absl::Status NotReadHere(std::string_view format) {
  return absl::InvalidArgumentError(
      format.empty()
          ? "picture is neither PNG, JPEG nor WebP"
          : absl::StrCat("picture is ", std::string(format), ", expected PNG, JPEG or WebP"));
}

}  // namespace

absl::StatusOr<Image> DecodeImage(std::string_view bytes, const DecodeLimits& limits) {
  const std::string_view format = PictureFormat(bytes);
  if (format == "PNG") return DecodePng(bytes, limits);
  if (format == "JPEG") return DecodeJpeg(bytes, limits);
  if (format == "WebP") return DecodeWebp(bytes, limits);
  return NotReadHere(format);
}

absl::StatusOr<Image> DecodeTransparency(std::string_view bytes, const DecodeLimits& limits) {
  const std::string_view format = PictureFormat(bytes);
  if (format != "PNG" && format != "WebP" && format != "JPEG") return NotReadHere(format);
  if (format != "JPEG") {
    ASSIGN_OR_RETURN(const PictureSamples samples, format == "PNG"
                                                       ? ReadPngSamples(bytes, limits)
                                                       : ReadWebpSamples(bytes, limits));
    if (samples.has_alpha()) return TransparencyOf(samples);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(std::string(format), " has no alpha: no part of it is transparent"));
}

}  // namespace diffusiond
