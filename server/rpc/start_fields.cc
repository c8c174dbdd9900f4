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

namespace diffusiond {
namespace {

static_assert(std::endian::native == std::endian::little, "init_noise is little-endian");

size_t Elements(const ServedModel& model) {
  return static_cast<size_t>(model.channels) * static_cast<size_t>(model.height) *
         static_cast<size_t>(model.width);
}

// The picture in `field`, which must have the model's size; nothing after a fault.
std::optional<Image> ReadPicture(const char* field, const std::string& bytes,
                                 const ServedModel& model, FieldViolations* violations) {
  const DecodeLimits limits = {.max_side = std::max(model.width, model.height)};
  absl::StatusOr<Image> image = DecodeImage(bytes, limits);
  if (!image.ok()) {
    violations->Add(field, image.status().message());
    return std::nullopt;
  }
  if (image->width != model.width || image->height != model.height) {
    violations->Add(
        field, absl::StrCat("is ", image->width, " x ", image->height, " pixels; the model draws ",
                            model.width, " x ", model.height));
    return std::nullopt;
  }
  return *std::move(image);
}

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
                         FieldViolations* violations) {
  RequestedStart start;
  if (request.sampling().has_strength() && request.init_image().empty()) {
    violations->Add("sampling.strength", absl::StrCat(request.sampling().strength(),
                                                      " has no effect without init_image"));
  }
  if (const std::string& bytes = request.init_image(); !bytes.empty()) {
    start.image_sha256 = Sha256Hex(bytes);
    if (auto image = ReadPicture("init_image", bytes, model, violations)) {
      start.image = ToValues("init_image", *std::move(image), model, violations);
    }
  }
  if (const std::string& bytes = request.mask(); !bytes.empty()) {
    start.mask_sha256 = Sha256Hex(bytes);
    if (request.init_image().empty()) {
      violations->Add("mask", "is set, but there is no init_image whose rest it could keep");
    }
    if (const auto mask = ReadPicture("mask", bytes, model, violations)) {
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
