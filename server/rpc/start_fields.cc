#include "server/rpc/start_fields.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/files/sha256.h"
#include "model/imaging/decode.h"
#include "model/imaging/resample.h"

namespace diffusiond {
namespace {

static_assert(std::endian::native == std::endian::little, "init_noise is little-endian");

size_t Elements(const ServedModel& model) {
  return static_cast<size_t>(model.channels) * static_cast<size_t>(model.height) *
         static_cast<size_t>(model.width);
}

// Reads pictures of one request, noting each fault.
class PictureReader {
 public:
  PictureReader(v1::PictureFit fit, const ServedModel& model, int max_side,
                FieldViolations* violations)
      : fit_(fit), model_(model), max_side_(max_side), violations_(violations) {}

  // In the model's size; nothing after a fault.
  std::optional<Image> Read(const char* field, const std::string& bytes) const {
    const bool fits = fit_ == v1::PICTURE_FIT_COVER || fit_ == v1::PICTURE_FIT_CONTAIN;
    const int model_side = std::max(model_.width, model_.height);
    absl::StatusOr<Image> image =
        DecodeImage(bytes, {.max_side = fits ? std::max(max_side_, model_side) : model_side});
    const bool too_large = absl::IsOutOfRange(image.status());
    if (!image.ok() && (fits || !too_large)) {
      violations_->Add(field, too_large
                                  ? absl::StrCat(image.status().message(), ", the server's limit")
                                  : std::string(image.status().message()));
      return std::nullopt;
    }
    if (fit_ == v1::PICTURE_FIT_COVER) return Cover(*image, model_.width, model_.height);
    if (fit_ == v1::PICTURE_FIT_CONTAIN) return Contain(*image, model_.width, model_.height);
    if (image.ok() && image->width == model_.width && image->height == model_.height) {
      return *std::move(image);
    }
    const std::string size =
        too_large ? std::string(image.status().message())
                  : absl::StrCat("is ", image->width, " x ", image->height, " pixels");
    violations_->Add(
        field, absl::StrCat(size, "; the model draws ", model_.width, " x ", model_.height,
                            ": picture_fit COVER or CONTAIN (--fit) brings other sizes there"));
    return std::nullopt;
  }

 private:
  const v1::PictureFit fit_;
  const ServedModel& model_;
  const int max_side_;
  FieldViolations* const violations_;
};

// Grey is spread over the model's channels; other channels must be as many. WebP has no grey, so a
// grey model's own pictures come back as RGB without colour.
StartingPoint::Values ToValues(const char* field, Image image, const ServedModel& model,
                               FieldViolations* violations) {
  if (model.channels == 1 && HasNoColour(image)) image = ToGrey(image);
  if (image.channels != 1 && image.channels != model.channels) {
    violations->Add(field, absl::StrCat("has ", image.channels, " channels; the model draws ",
                                        model.channels, ", and takes grey"));
    return nullptr;
  }
  const Frame frame = ToFrame(image);
  auto values = std::make_shared<std::vector<float>>(frame.values);
  for (int c = image.channels; c < model.channels; ++c) {
    values->insert(values->end(), frame.values.begin(), frame.values.end());
  }
  return values;
}

// White is drawn, black stays, grey is mixed; of colours their lightness counts.
StartingPoint::Values ToKeep(const Image& mask, const ServedModel& model) {
  const std::vector<uint8_t> drawn = ToGrey(mask).pixels;
  auto keep = std::make_shared<std::vector<float>>();
  keep->reserve(Elements(model));
  for (int c = 0; c < model.channels; ++c) {
    for (const uint8_t value : drawn) keep->push_back(1 - static_cast<float>(value) / 255);
  }
  return keep;
}

StartingPoint::Values ReadNoise(const std::string& bytes, const ServedModel& model,
                                FieldViolations* violations) {
  auto values = std::make_shared<std::vector<float>>(Elements(model));
  if (bytes.size() != values->size() * sizeof(float)) {
    violations->Add(
        "init_noise",
        absl::StrCat("has ", bytes.size(), " bytes, expected ", values->size() * sizeof(float),
                     ": float32 of ", model.channels, " x ", model.height, " x ", model.width));
    return nullptr;
  }
  std::memcpy(values->data(), bytes.data(), bytes.size());
  if (!std::all_of(values->begin(), values->end(), [](float v) { return std::isfinite(v); })) {
    violations->Add("init_noise", "has a value that is not finite");
  }
  return values;
}

}  // namespace

size_t BytesOf(const RequestedStart& start) {
  size_t bytes = 0;
  for (const StartingPoint::Values* values : {&start.image, &start.keep, &start.noise}) {
    if (*values != nullptr) bytes += (*values)->capacity() * sizeof(float);
  }
  return bytes;
}

RequestedStart ReadStart(const v1::GenerateRequest& request, const ServedModel& model, int count,
                         int max_picture_side, FieldViolations* violations) {
  RequestedStart start;
  if (!v1::PictureFit_IsValid(request.picture_fit())) {
    violations->Add("picture_fit", absl::StrCat(static_cast<int>(request.picture_fit()),
                                                " is not a PictureFit: EXACT, COVER or CONTAIN"));
  } else if (request.picture_fit() != v1::PICTURE_FIT_UNSPECIFIED && request.init_image().empty()) {
    violations->Add("picture_fit", "has no effect without init_image");
  }
  const PictureReader reader(request.picture_fit(), model, max_picture_side, violations);
  if (request.sampling().has_strength() && request.init_image().empty()) {
    violations->Add("sampling.strength", absl::StrCat(request.sampling().strength(),
                                                      " has no effect without init_image"));
  }
  if (const std::string& bytes = request.init_image(); !bytes.empty()) {
    start.image_sha256 = Sha256Hex(bytes);
    start.fit = request.picture_fit();
    if (auto image = reader.Read("init_image", bytes)) {
      start.image = ToValues("init_image", *std::move(image), model, violations);
    }
  }
  if (const std::string& bytes = request.mask(); !bytes.empty()) {
    start.mask_sha256 = Sha256Hex(bytes);
    if (request.init_image().empty()) {
      violations->Add("mask", "is set, but there is no init_image whose rest it could keep");
    }
    if (const auto mask = reader.Read("mask", bytes)) {
      start.keep = ToKeep(*mask, model);
    }
  }
  if (const std::string& bytes = request.init_noise(); !bytes.empty()) {
    start.noise_sha256 = Sha256Hex(bytes);
    start.noise = ReadNoise(bytes, model, violations);
  }
  if (request.has_morph_seed()) {
    start.morph_seed = request.morph_seed();
    if (count < 2) {
      violations->Add("morph_seed", absl::StrCat("is set, but count is ", count,
                                                 ": a morph has at least 2 images"));
    }
    if (!request.init_noise().empty()) {
      violations->Add("morph_seed", "is set, and so is init_noise: unset one of them");
    }
  }
  return start;
}

void WriteStart(const RequestedStart& start, v1::ResolvedParameters* parameters) {
  parameters->set_init_image_sha256(start.image_sha256);
  parameters->set_mask_sha256(start.mask_sha256);
  parameters->set_init_noise_sha256(start.noise_sha256);
  parameters->set_picture_fit(start.fit);
  if (start.morph_seed.has_value()) parameters->set_morph_seed(*start.morph_seed);
}

std::shared_ptr<const StartingPoint> StartOf(const RequestedStart& start, int image_index,
                                             int count) {
  if (start.image == nullptr && start.noise == nullptr && !start.morph_seed.has_value()) {
    return nullptr;
  }
  return std::make_shared<StartingPoint>(
      StartingPoint{.image = start.image,
                    .keep = start.keep,
                    .noise = start.noise,
                    .morph_seed = start.morph_seed,
                    .morph = count > 1 ? static_cast<double>(image_index) / (count - 1) : 0});
}

}  // namespace diffusiond
