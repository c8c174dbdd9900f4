// The command `replay`: the same bytes again, or what differs.
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "client/picture_receipt.h"
#include "client/receipt_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/files/sha256.h"
#include "model/imaging/png.h"
#include "model/imaging/png_text.h"
#include "model/imaging/webp.h"
#include "tests/client/diffusionctl_fixture.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ReplayTest : public DiffusionctlTest {
 protected:
  // Writes the receipt of TinyStream(2, 3), changed.
  std::string WriteReceipt(const std::function<void(v1::Receipt&)>& change) {
    v1::Receipt receipt = TinyStream(2, 3).back().completed().receipt();
    change(receipt);
    fs::create_directories(directory_);
    std::ofstream(directory_ / "receipt.json") << ReceiptToJson(receipt);
    return Path("receipt.json");
  }
};

TEST_F(ReplayTest, SaysIdenticalWhenEveryByteIs) {
  Serve({.events = TinyStream(2, 3), .models = {TinyModel()}});
  EXPECT_EQ(Run({"replay", WriteReceipt([](v1::Receipt&) {}), "--quiet"}), kExitOk) << err();
  EXPECT_EQ(out(), "identical: 2 images have the same bytes as then\n");
  EXPECT_EQ(server_->last_request()->sampling().steps(), 3u);
  EXPECT_THAT(Files(), ElementsAre("receipt.json"));
}

TEST_F(ReplayTest, SavesTheImagesWhereAsked) {
  Serve({.events = TinyStream(2, 3), .models = {TinyModel()}});
  EXPECT_EQ(Run({"replay", WriteReceipt([](v1::Receipt&) {}), "--out=" + Path("again.png")}),
            kExitOk);
  EXPECT_THAT(Files(), ElementsAre("again-0.png", "again-1.png", "receipt.json"));
}

TEST_F(ReplayTest, NamesTheImageThatDiffers) {
  Serve({.events = TinyStream(2, 3), .models = {TinyModel()}});
  const std::string path = WriteReceipt([](v1::Receipt& r) { r.set_image_sha256(1, "abcd"); });
  EXPECT_EQ(Run({"replay", path}), kExitFailed);
  EXPECT_THAT(out(), HasSubstr("different: 1 of 2 images\n  image 1: abcd then, "));
}

TEST_F(ReplayTest, NamesDigestAndNumericsThatDiffer) {
  Serve({.events = TinyStream(2, 3), .models = {TinyModel()}});
  const std::string path = WriteReceipt([](v1::Receipt& r) {
    r.set_model_digest("beef");
    r.mutable_numerics()->set_libtorch_version("2.5");
    r.set_image_sha256(0, "abcd");
  });
  EXPECT_EQ(Run({"replay", path}), kExitFailed);
  EXPECT_THAT(out(), HasSubstr("model_digest: 'beef' then, 'd19357"));
  EXPECT_THAT(out(), HasSubstr("libtorch_version: '2.5' then, '1.13.1' now"));
  EXPECT_THAT(out(), HasSubstr("image 0: abcd then"));
}

// Images of `count` by the tiny stream, in the format that is asked for.
std::vector<v1::GenerateEvent> DrawnAs(const v1::GenerateRequest& request) {
  auto events = TinyStream(request.count(), 3, request.first_image_index());
  v1::ResolvedParameters& accepted = *events[0].mutable_accepted()->mutable_parameters();
  v1::Receipt& receipt = *events.back().mutable_completed()->mutable_receipt();
  accepted.set_format(request.format());
  if (request.has_morph_seed()) accepted.set_morph_seed(request.morph_seed());
  *receipt.mutable_parameters() = accepted;
  for (v1::GenerateEvent& event : events) {
    if (!event.has_image() || request.format() != v1::IMAGE_FORMAT_WEBP) continue;
    v1::Image& image = *event.mutable_image();
    image.set_data(*EncodeWebpLossless(*DecodePng(image.data())));
    image.set_format(request.format());
    image.set_sha256(Sha256Hex(image.data()));
    receipt.set_image_sha256(static_cast<int>(image.image_index() - request.first_image_index()),
                             image.sha256());
  }
  return events;
}

class ReplayPictureTest : public ReplayTest {
 protected:
  ReplayPictureTest() { Serve({.events_for = DrawnAs, .models = {TinyModel()}}); }

  // Draws four and returns the path of the third.
  std::string Generate(const std::string& extension, std::vector<std::string> flags = {}) {
    flags.insert(flags.begin(), {"generate", "--count=4", "--out=" + Path("a" + extension)});
    EXPECT_EQ(Run(flags), kExitOk) << err();
    return Path("a-2" + extension);
  }

  void Write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
};

TEST_F(ReplayPictureTest, APictureAloneIsDrawnAgain) {
  for (const char* extension : {".png", ".webp"}) {
    const std::string path = Generate(extension);
    fs::remove(Path("a.json"));
    EXPECT_EQ(Run({"replay", path, "--quiet"}), kExitOk) << err();
    EXPECT_EQ(out(), "identical: 1 image has the same bytes as then\n");
    EXPECT_EQ(server_->last_request()->first_image_index(), 2u);
    EXPECT_EQ(server_->last_request()->count(), 1u);
    const std::string again = std::string("again") + extension;
    ASSERT_EQ(Run({"replay", path, "--out=" + Path(again)}), kExitOk) << err();
    EXPECT_EQ(Contents(again), Contents(fs::path(path).filename())) << "to the last byte";
    ASSERT_EQ(Run({"replay", path, "--noembed_receipt", "--out=" + Path(again)}), kExitOk);
    EXPECT_EQ(Contents(again), TakeReceipt(Contents(fs::path(path).filename()))->picture);
  }
}

TEST_F(ReplayPictureTest, AnImageOfAMorphIsFoundAmongAll) {
  const std::string path = Generate(".png", {"--morph_seed=9"});
  EXPECT_EQ(Run({"replay", path}), kExitOk) << err();
  EXPECT_EQ(server_->last_request()->count(), 4u);
  EXPECT_THAT(out(), HasSubstr("identical: 4 images"));
}

TEST_F(ReplayPictureTest, AFileThatWasWrittenAgainIsJudgedByItsPixels) {
  const std::string path = Generate(".png");
  const std::string drawn = Contents("a-2.png");
  Write(path, *AddPngText(drawn, "Comment", "by another program"));
  EXPECT_EQ(Run({"replay", path}), kExitOk) << err();
  EXPECT_THAT(out(), HasSubstr("a program wrote its file again"));
  EXPECT_EQ(Run({"replay", path, "--json"}), kExitOk);
  EXPECT_THAT(out(), HasSubstr("\"sameBytes\": false"));
  EXPECT_THAT(out(), HasSubstr("\"samePixels\": true"));

  Image changed = *DecodePng(drawn);
  ++changed.pixels[5];
  const v1::Receipt receipt = TakeReceipt(drawn)->receipt;
  Write(path, *WithReceipt(*EncodePng(changed), receipt));
  EXPECT_EQ(Run({"replay", path}), kExitFailed);
  EXPECT_THAT(out(), HasSubstr("different: the picture is not what its receipt draws\n  it was"));
  EXPECT_EQ(Run({"replay", path, "--json"}), kExitFailed);
  EXPECT_THAT(out(), HasSubstr("\"identical\": false"));

  Write(path, drawn.substr(0, drawn.size() - 20));
  EXPECT_EQ(Run({"replay", path, "--out=" + Path("again.png")}), kExitFailed);
  EXPECT_THAT(out(), HasSubstr("PNG is not readable: the file ends too early"));
  EXPECT_EQ(Contents("again.png"), drawn) << "its receipt is whole, so it can be drawn again";
}

TEST_F(ReplayPictureTest, APictureThatIsEncodedOtherwiseNowIsNotTheSameBytes) {
  const std::string path = Generate(".png");
  const PictureReceipt drawn = *TakeReceipt(Contents("a-2.png"));
  v1::Receipt receipt = drawn.receipt;
  receipt.set_image_sha256(0, "abcd");
  Write(path, *WithReceipt(drawn.picture, receipt));
  EXPECT_EQ(Run({"replay", path}), kExitFailed);
  EXPECT_THAT(out(), HasSubstr("different: 1 of 1 images\n  image 2: abcd then"));
  EXPECT_THAT(out(), HasSubstr("pixels are the same: it is encoded otherwise"));
}

TEST_F(ReplayPictureTest, WithoutReceiptsPicturesAreTheServersBytes) {
  const std::string path = Generate(".png", {"--noembed_receipt"});
  v1::GenerateRequest request;
  request.set_count(4);
  request.set_format(v1::IMAGE_FORMAT_PNG);
  const auto events = DrawnAs(request);
  EXPECT_EQ(Contents("a-2.png"), events[events.size() - 3].image().data());
  EXPECT_EQ(Run({"replay", path}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("a-2.png: the picture carries no receipt"));
}

TEST_F(ReplayPictureTest, WhatComesBeforeAFailureIsKeptAsItIs) {
  Serve({.events_for =
             [](const v1::GenerateRequest& request) {
               auto events = DrawnAs(request);
               events.pop_back();
               return events;
             },
         .status = {grpc::StatusCode::INTERNAL, "NaN"},
         .models = {TinyModel()}});
  const std::string image = TinyStream(1, 3)[10].image().data();
  ASSERT_FALSE(image.empty());
  EXPECT_EQ(Run({"generate", "--out=" + Path("b.png")}), kExitFailed);
  EXPECT_EQ(Contents("b.png"), image);
  EXPECT_EQ(Run({"generate", "--out=-"}), kExitFailed);
  EXPECT_EQ(out(), image);
}

TEST_F(ReplayTest, RefusesAFileThatIsNoReceipt) {
  fs::create_directories(directory_);
  std::ofstream(directory_ / "receipt.json") << "{\"a\": ";
  Serve({.models = {TinyModel()}});
  EXPECT_EQ(Run({"replay", Path("receipt.json")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("receipt.json: not the JSON of a receipt"));
}

}  // namespace
}  // namespace diffusiond
