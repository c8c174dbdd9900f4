#include "client/commands/starting_flags.h"

#include <optional>

#include "absl/flags/flag.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/input_file.h"

ABSL_FLAG(
    std::string, init_image, "",
    "=FILE: an image to start from, of the model's size or with --fit; with --strength or --mask");
ABSL_FLAG(std::string, mask, "",
          "=FILE: grey, white where to draw, black where --init_image stays");
ABSL_FLAG(
    std::string, fit, "",
    "=exact|cover|contain: how --init_image and --mask come to the model's size: they have it, "
    "what overhangs is cut off, or their edges are repeated");
ABSL_FLAG(std::string, init_noise, "",
          "=FILE: float32, little-endian, channels x height x width, in place of the seed's noise");
ABSL_FLAG(std::optional<uint64_t>, morph_seed, std::nullopt,
          "=N: the images go from --seed to this one");

namespace diffusiond {
namespace {

absl::Status ReadInto(const char* flag, const std::string& path, std::string* bytes) {
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<std::string> read = ReadInputFile(path);
  if (!read.ok()) {
    return absl::Status(read.status().code(),
                        absl::StrCat("--", flag, ": ", read.status().message()));
  }
  *bytes = *std::move(read);
  return absl::OkStatus();
}

}  // namespace

const std::vector<std::string> kStartingFileFlags = {"init_image", "mask", "init_noise"};
const std::vector<std::string> kMorphFlags = {"morph_seed"};
const std::vector<std::string> kFitFlags = {"fit"};

absl::Status SetStartingFilesByFlags(v1::GenerateRequest& request) {
  absl::Status status =
      ReadInto("init_image", absl::GetFlag(FLAGS_init_image), request.mutable_init_image());
  status.Update(ReadInto("mask", absl::GetFlag(FLAGS_mask), request.mutable_mask()));
  status.Update(
      ReadInto("init_noise", absl::GetFlag(FLAGS_init_noise), request.mutable_init_noise()));
  return status;
}

absl::Status SetFitByFlag(v1::GenerateRequest& request) {
  const std::string name = absl::GetFlag(FLAGS_fit);
  if (name.empty()) return absl::OkStatus();
  v1::PictureFit fit;
  if (!v1::PictureFit_Parse(absl::StrCat("PICTURE_FIT_", absl::AsciiStrToUpper(name)), &fit) ||
      fit == v1::PICTURE_FIT_UNSPECIFIED) {
    return absl::InvalidArgumentError(
        absl::StrCat("--fit: '", name, "', expected exact, cover or contain"));
  }
  request.set_picture_fit(fit);
  return absl::OkStatus();
}

void SetMorphByFlag(v1::GenerateRequest& request) {
  if (const auto seed = absl::GetFlag(FLAGS_morph_seed); seed.has_value()) {
    request.set_morph_seed(*seed);
  }
}

}  // namespace diffusiond
