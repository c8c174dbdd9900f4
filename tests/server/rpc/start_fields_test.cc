// Images that start from images, as a request asks for them. The test server's model draws 2 x 2
// grey pixels in 5 steps.
#include "server/rpc/start_fields.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/files/sha256.h"
#include "model/imaging/png.h"
#include "model/imaging/webp.h"
#include "tests/model/imaging/codec_fixtures.h"
#include "tests/model/imaging/png_chunks.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Png(int width, int height, std::vector<uint8_t> pixels, int channels = 1) {
  return EncodePng(
             {.width = width, .height = height, .channels = channels, .pixels = std::move(pixels)})
      .value();
}

const std::vector<uint8_t> kPixels = {0, 51, 204, 255};

std::string Raw(const std::vector<float>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}
std::vector<float> Floats(const v1::Image& image) {
  std::vector<float> values(image.data().size() / sizeof(float));
  std::memcpy(values.data(), image.data().data(), image.data().size());
  return values;
}

v1::GenerateRequest RawRequest(uint32_t count = 1) {
  v1::GenerateRequest request;
  request.set_count(count);
  request.set_seed(4);
  request.set_format(v1::IMAGE_FORMAT_RAW_FLOAT32);
  return request;
}

TEST(StartFields, StrengthRunsTheLastStepsFromTheImage) {
  TestServer server;
  v1::GenerateRequest request = RawRequest();
  request.set_init_image(Png(2, 2, kPixels));
  request.mutable_sampling()->set_strength(0.4f);
  const auto events = server.Generate(request);
  ASSERT_EQ(ImagesOf(events).size(), 1u);
  uint32_t steps = 0;
  for (const v1::GenerateEvent& event : events) {
    if (!event.has_progress()) continue;
    steps = event.progress().steps_done();  // Progress that waits is replaced by newer.
    EXPECT_EQ(event.progress().steps_total(), 2u);
  }
  EXPECT_EQ(steps, 2u);
  const v1::ResolvedParameters& parameters = events.back().completed().receipt().parameters();
  EXPECT_EQ(parameters.init_image_sha256(), Sha256Hex(request.init_image()));
  EXPECT_EQ(parameters.sampling().strength(), 0.4f);
  EXPECT_EQ(parameters.sampling().steps(), 5u);
  EXPECT_EQ(parameters.mask_sha256(), "");
  EXPECT_FALSE(parameters.has_morph_seed());
  // Another image, another result.
  request.set_init_image(Png(2, 2, {9, 9, 9, 9}));
  EXPECT_NE(ImagesOf(server.Generate(request))[0].data(), ImagesOf(events)[0].data());
}

TEST(StartFields, AnImageOfWhichNothingIsKeptIsWarnedOf) {
  TestServer server;
  v1::GenerateRequest request = RawRequest();
  request.set_init_image(Png(2, 2, kPixels));
  const auto warnings = [&] { return server.Generate(request).front().accepted().warnings(); };
  EXPECT_THAT(warnings(), ElementsAre(HasSubstr("sampling.strength is 1")));
  request.set_mask(Png(2, 2, {0, 255, 0, 255}));
  EXPECT_THAT(warnings(), ElementsAre());
  request.clear_mask();
  request.mutable_sampling()->set_strength(0.5);
  EXPECT_THAT(warnings(), ElementsAre());
}

TEST(StartFields, WhatTheMaskKeepsIsTheImage) {
  TestServer server;
  v1::GenerateRequest request = RawRequest();
  request.set_init_image(Png(2, 2, kPixels));
  request.set_mask(Png(2, 2, {0, 255, 0, 255}));
  const auto events = server.Generate(request);
  const std::vector<float> image = Floats(ImagesOf(events)[0]);
  EXPECT_EQ(image[0], -1.0f);
  EXPECT_EQ(image[2], 204 / 127.5f - 1);
  EXPECT_NE(image[1], 51 / 127.5f - 1);
  EXPECT_NE(image[3], 1.0f);
  EXPECT_EQ(events.back().completed().receipt().parameters().mask_sha256(),
            Sha256Hex(request.mask()));
}

TEST(StartFields, PicturesAreTakenAsTheyWereHeld) {
  ServedModel model;
  model.width = 2;
  model.height = 3;
  model.channels = 1;
  // 3 x 2 as stored, to be turned a quarter clockwise.
  std::string png = Png(3, 2, {0, 0, 0, 255, 255, 51});
  constexpr size_t kAfterHeader = 33;
  png.insert(kAfterHeader,
             PngChunk("eXIf", FromHex("4d4d002a00000008000101120003000000010006000000000000")));
  v1::GenerateRequest request;
  request.set_init_image(png);
  request.set_mask(png);
  FieldViolations violations;
  const RequestedStart start = ReadStart(request, model, 1, kDefaultMaxPictureSide, &violations);
  ASSERT_TRUE(violations.ToStatus().ok()) << violations.ToStatus();
  EXPECT_THAT(*start.image, ElementsAre(1, -1, 1, -1, 51 / 127.5f - 1, -1));
  EXPECT_THAT(*start.keep, ElementsAre(0, 1, 0, 1, 0.8f, 1));
}

// WebP has no grey; what others draw masks with has none either.
TEST(StartFields, GreyMayComeAsRgb) {
  v1::GenerateRequest request;
  request.set_init_image(
      EncodeWebpLossless({.width = 2, .height = 2, .channels = 1, .pixels = kPixels}).value());
  request.set_mask(Png(2, 2, {255, 255, 255, 0, 0, 0, 51, 51, 51, 255, 0, 0}, 3));
  ServedModel model;
  model.width = 2;
  model.height = 2;
  model.channels = 1;
  FieldViolations violations;
  const RequestedStart start = ReadStart(request, model, 1, kDefaultMaxPictureSide, &violations);
  ASSERT_TRUE(violations.ToStatus().ok()) << violations.ToStatus();
  EXPECT_THAT(*start.image, ElementsAre(-1, 51 / 127.5f - 1, 204 / 127.5f - 1, 1));
  EXPECT_THAT(*start.keep, ElementsAre(0, 1, 0.8f, 1 - 76 / 255.0f));
  for (const char* mask : {kPalettePng, kRgbaPng}) {
    request.set_mask(FromHex(mask));
    const Image decoded = DecodePng(request.mask()).value();
    model.width = decoded.width;
    model.height = decoded.height;
    request.clear_init_image();
    request.set_init_image(EncodePng(ToGrey(decoded)).value());
    FieldViolations none;
    EXPECT_NE(ReadStart(request, model, 1, kDefaultMaxPictureSide, &none).keep, nullptr);
    EXPECT_TRUE(none.empty()) << none.ToStatus();
  }
}

TEST(StartFields, PicturesOfAnySizeAreFitted) {
  ServedModel model;
  model.width = 2;
  model.height = 2;
  model.channels = 1;
  v1::GenerateRequest request;
  request.set_init_image(Png(4, 2, {0, 51, 204, 255, 0, 51, 204, 255}));
  request.set_mask(Png(2, 4, {0, 0, 255, 255, 0, 0, 255, 255}));
  request.set_picture_fit(v1::PICTURE_FIT_COVER);
  FieldViolations violations;
  RequestedStart start = ReadStart(request, model, 1, kDefaultMaxPictureSide, &violations);
  ASSERT_TRUE(violations.ToStatus().ok()) << violations.ToStatus();
  EXPECT_THAT(*start.image,
              ElementsAre(51 / 127.5f - 1, 204 / 127.5f - 1, 51 / 127.5f - 1, 204 / 127.5f - 1));
  EXPECT_THAT(*start.keep, ElementsAre(0, 0, 1, 1));
  v1::ResolvedParameters parameters;
  WriteStart(start, &parameters);
  EXPECT_EQ(parameters.picture_fit(), v1::PICTURE_FIT_COVER);
  EXPECT_EQ(parameters.init_image_sha256(), Sha256Hex(request.init_image()));

  request.set_picture_fit(v1::PICTURE_FIT_CONTAIN);
  start = ReadStart(request, model, 1, kDefaultMaxPictureSide, &violations);
  ASSERT_TRUE(violations.ToStatus().ok()) << violations.ToStatus();
  // Both rows are the picture's one; both columns are the mask's.
  ASSERT_EQ(start.image->size(), 4u);
  EXPECT_EQ((*start.image)[0], (*start.image)[2]);
  EXPECT_LT((*start.image)[0], (*start.image)[1]);
  EXPECT_EQ((*start.keep)[0], (*start.keep)[1]);
}

TEST(StartFields, NoiseCanBeGiven) {
  TestServer server;
  v1::GenerateRequest request = RawRequest();
  request.mutable_sampling()->set_eta(0);
  request.set_init_noise(Raw({0.5f, -1, 2, 0}));
  const auto first = ImagesOf(server.Generate(request))[0].data();
  request.set_seed(5);
  EXPECT_EQ(ImagesOf(server.Generate(request))[0].data(), first) << "the seed adds nothing else";
  request.set_init_noise(Raw({0.5f, -1, 2, 0.25f}));
  EXPECT_NE(ImagesOf(server.Generate(request))[0].data(), first);
}

TEST(StartFields, AMorphBeginsAtTheSeedAndEndsAtTheOther) {
  TestServer server;
  v1::GenerateRequest request = RawRequest(5);
  request.mutable_sampling()->set_eta(0);
  request.set_morph_seed(8);
  const auto morph = ImagesOf(server.Generate(request));
  ASSERT_EQ(morph.size(), 5u);
  for (const auto& [seed, image] : {std::pair(4, 0), std::pair(8, 4)}) {
    v1::GenerateRequest one = RawRequest();
    one.mutable_sampling()->set_eta(0);
    one.set_seed(static_cast<uint64_t>(seed));
    const std::vector<float> alone = Floats(ImagesOf(server.Generate(one))[0]);
    const std::vector<float> end = Floats(morph[static_cast<size_t>(image)]);
    for (size_t i = 0; i < alone.size(); ++i) EXPECT_NEAR(end[i], alone[i], 1e-5);
  }
  // Neighbours are nearer than the ends.
  const auto distance = [&](size_t a, size_t b) {
    double sum = 0;
    const std::vector<float> x = Floats(morph[a]), y = Floats(morph[b]);
    for (size_t i = 0; i < x.size(); ++i) sum += std::abs(x[i] - y[i]);
    return sum;
  };
  for (size_t i = 0; i < 4; ++i) EXPECT_LT(distance(i, i + 1), distance(0, 4));
}

struct StartFault {
  std::string name;
  std::function<void(v1::GenerateRequest&)> set;
  std::string field;
  std::string text;
};

class StartFaultTable : public ::testing::TestWithParam<StartFault> {};

TEST_P(StartFaultTable, IsNamed) {
  v1::GenerateRequest request;
  GetParam().set(request);
  FieldViolations violations;
  const ServedModel model = TestModel();
  ReadStart(request, model, static_cast<int>(std::max(1u, request.count())),
            /*max_picture_side=*/50, &violations);
  const std::string message(violations.ToStatus().message());
  EXPECT_THAT(message, AllOf(HasSubstr(GetParam().field), HasSubstr(GetParam().text)));
}

using R = v1::GenerateRequest;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

INSTANTIATE_TEST_SUITE_P(
    StartFields, StartFaultTable,
    ::testing::Values(
        StartFault{"NoImage", [](R& r) { r.set_init_image("no picture at all"); }, "init_image",
                   "PNG"},
        StartFault{"CutOff", [](R& r) { r.set_init_image(Png(2, 2, kPixels).substr(0, 40)); },
                   "init_image", ""},
        StartFault{"WrongSize",
                   [](R& r) {
                     r.set_init_image(Png(2, 1, {1, 2}));
                   },
                   "init_image", "is 2 x 1 pixels; the model draws 2 x 2"},
        StartFault{
            "Large", [](R& r) { r.set_init_image(Png(64, 1, std::vector<uint8_t>(64))); },
            "init_image",
            "PNG is 64 x 1 pixels, more than 2 to a side; the model draws 2 x 2: picture_fit "
            "COVER or CONTAIN"},
        StartFault{"TooLargeToBeFitted",
                   [](R& r) {
                     r.set_init_image(Png(64, 1, std::vector<uint8_t>(64)));
                     r.set_picture_fit(v1::PICTURE_FIT_COVER);
                   },
                   "init_image",
                   "PNG is 64 x 1 pixels, more than 50 to a side, the server's limit"},
        StartFault{"FitOfNothing", [](R& r) { r.set_picture_fit(v1::PICTURE_FIT_CONTAIN); },
                   "picture_fit", "has no effect without init_image"},
        StartFault{"NoFit",
                   [](R& r) {
                     r.set_init_image(Png(2, 2, kPixels));
                     r.set_picture_fit(static_cast<v1::PictureFit>(9));
                   },
                   "picture_fit", "9 is not a PictureFit: EXACT, COVER or CONTAIN"},
        StartFault{"Colour",
                   [](R& r) {
                     r.set_init_image(Png(2, 2, {0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, 3));
                   },
                   "init_image", "has 3 channels; the model draws 1"},
        StartFault{"StrengthAlone", [](R& r) { r.mutable_sampling()->set_strength(0.5f); },
                   "sampling.strength", "0.5 has no effect without init_image"},
        StartFault{"MaskAlone", [](R& r) { r.set_mask(Png(2, 2, kPixels)); }, "mask",
                   "there is no init_image"},
        StartFault{"NoiseOfOtherSize",
                   [](R& r) {
                     r.set_init_noise(Raw({1, 2, 3}));
                   },
                   "init_noise", "has 12 bytes, expected 16: float32 of 1 x 2 x 2"},
        StartFault{"NoiseNotFinite",
                   [](R& r) {
                     r.set_init_noise(Raw({1, 2, 3, kNaN}));
                   },
                   "init_noise", "not finite"},
        StartFault{"MorphOfOne", [](R& r) { r.set_morph_seed(1); }, "morph_seed", "count is 1"},
        StartFault{"MorphOfGivenNoise",
                   [](R& r) {
                     r.set_count(2), r.set_morph_seed(1), r.set_init_noise(Raw({1, 2, 3, 4}));
                   },
                   "morph_seed", "unset one of them"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace diffusiond
