#include "client/commands/request_flags.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "client/commands/generation_run.h"
#include "client/commands/json_results.h"
#include "client/commands/starting_flags.h"
#include "client/output_files.h"
#include "client/picture_codec.h"
#include "client/rpc_error.h"
#include "model/status/status_macros.h"

ABSL_FLAG(std::string, model, "", "=NAME: the server's default model if not given");
ABSL_FLAG(std::string, model_digest, "",
          "=SHA256: this version of the model and no other; models NAME shows it");
ABSL_FLAG(std::string, class, "", "=NAME|ID: what to draw, for a model with classes");
ABSL_FLAG(std::optional<uint32_t>, count, std::nullopt,
          "=N: images to draw; 4, or 1 if --out is a file");
ABSL_FLAG(uint32_t, first_image_index, 0,
          "=I: the first of the images, as the seed counts them; with --count=1 image I alone");
ABSL_FLAG(std::optional<uint64_t>, seed, std::nullopt,
          "=N: the same seed draws the same images; drawn at random if not given");
ABSL_FLAG(std::string, format, "",
          "=png|webp|jpeg|raw: of the files; by --out's extension, or png");
ABSL_FLAG(std::string, out, "",
          "=DIR|FILE: where the images go (generate: here if not given, - is standard output)");
ABSL_FLAG(std::string, priority, "normal", "=high|normal|low: the server's class of work");

namespace diffusiond {
namespace {

constexpr uint32_t kDefaultCount = 4;

absl::StatusOr<v1::ImageFormat> FormatByFlags() {
  const std::string name = absl::GetFlag(FLAGS_format);
  v1::ImageFormat by_file = v1::IMAGE_FORMAT_PNG;
  const bool is_file = NamesImageFile(absl::GetFlag(FLAGS_out), &by_file);
  if (name.empty()) return by_file;
  absl::StatusOr<v1::ImageFormat> format = ParseFormat(name);
  if (!format.ok())
    return absl::InvalidArgumentError("--format: " + std::string(format.status().message()));
  if (is_file && *format != by_file) {
    return absl::InvalidArgumentError(
        absl::StrCat("--format=", name, " does not go with --out=", absl::GetFlag(FLAGS_out)));
  }
  return format;
}

// A folder of such a name is hardly what is meant.
absl::Status CheckOut(const std::string& out) {
  static constexpr absl::string_view kOthers[] = {".avif", ".bmp", ".gif", ".heic", ".heif",
                                                  ".jfif", ".jp2", ".jxl", ".pdf",  ".pgm",
                                                  ".ppm",  ".svg", ".tga", ".tif",  ".tiff"};
  std::error_code ignored;
  if (std::filesystem::is_directory(out, ignored)) return absl::OkStatus();
  for (const absl::string_view other : kOthers) {
    if (!absl::EndsWithIgnoreCase(out, other)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("--out=", out,
                     ": expected FILE.png, FILE.webp, FILE.jpeg, FILE.raw, or a "
                     "folder"));
  }
  return absl::OkStatus();
}

// As the command line spells it.
std::string FlagOf(const std::string& field) {
  static constexpr std::pair<absl::string_view, absl::string_view> kOtherNames[] = {
      {"class_id", "class"},       {"class_name", "class"},
      {"picture_fit", "fit"},      {"preview.every_steps", "preview_every"},
      {"preview.kind", "preview"}, {"preview.max_side", "preview_max_side"},
  };
  for (const auto& [there, here] : kOtherNames) {
    if (there == field) return absl::StrCat("--", here);
  }
  return absl::StrCat("--", absl::StripPrefix(field, "sampling."));
}

}  // namespace

absl::Status WithFlagNames(const absl::Status& status) { return WithFieldNames(status, FlagOf); }

void SetClass(const std::string& name, v1::GenerateRequest* request) {
  uint32_t class_id = 0;
  if (absl::SimpleAtoi(name, &class_id)) {
    request->set_class_id(class_id);
  } else if (!name.empty()) {
    request->set_class_name(name);
  }
}

absl::StatusOr<v1::GenerateRequest> RequestByFlags(const OptionValues& options) {
  v1::GenerateRequest request;
  ASSIGN_OR_RETURN(const v1::ImageFormat format, FormatByFlags());
  request.set_format(format);
  request.set_model(absl::GetFlag(FLAGS_model));
  request.set_model_digest(absl::GetFlag(FLAGS_model_digest));
  v1::ImageFormat unused;
  const std::string out = absl::GetFlag(FLAGS_out);
  const bool one_file = out == kStandardOutput || NamesImageFile(out, &unused);
  request.set_count(absl::GetFlag(FLAGS_count).value_or(one_file ? 1 : kDefaultCount));
  if (out == kStandardOutput && absl::GetFlag(FLAGS_json)) {
    return absl::InvalidArgumentError("--out=- writes an image and nothing else: no --json");
  }
  if (out == kStandardOutput && request.count() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--out=- writes one image, not --count=", request.count(), ": expected --out=DIR"));
  }
  RETURN_IF_ERROR(CheckOut(out));
  request.set_first_image_index(absl::GetFlag(FLAGS_first_image_index));
  if (const auto seed = absl::GetFlag(FLAGS_seed); seed.has_value()) request.set_seed(*seed);
  SetClass(absl::GetFlag(FLAGS_class), &request);
  SetSampling(options, request.mutable_sampling());
  SetMorphByFlag(request);
  RETURN_IF_ERROR(SetStartingFilesByFlags(request));
  RETURN_IF_ERROR(SetFitByFlag(request));
  v1::Priority priority;
  const std::string name = absl::GetFlag(FLAGS_priority);
  if (!v1::Priority_Parse(absl::StrCat("PRIORITY_", absl::AsciiStrToUpper(name)), &priority)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--priority: '", name, "', expected high, normal or low"));
  }
  request.set_priority(priority);
  return request;
}

void SpellClassAsTheModel(const v1::Model& model, v1::GenerateRequest& request) {
  if (!request.has_class_name()) return;
  const auto plain = [](const std::string& name) {
    return ForFileName(absl::StrReplaceAll(name, {{"_", "-"}}));
  };
  for (const v1::ModelClass& entry : model.classes()) {
    if (plain(entry.name()) != plain(request.class_name())) continue;
    request.set_class_name(entry.name());
    return;
  }
}

}  // namespace diffusiond
