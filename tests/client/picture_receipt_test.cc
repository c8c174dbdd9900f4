// Receipts inside pictures, and files that hold receipts.
#include "client/picture_receipt.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "client/receipt_file.h"
#include "client/saved_receipt.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/files/sha256.h"
#include "model/imaging/decode.h"
#include "model/imaging/jpeg.h"
#include "model/imaging/png.h"
#include "model/imaging/png_text.h"
#include "model/imaging/webp.h"
#include "model/imaging/webp_xmp.h"
#include "tests/client/fake_diffusion_service.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Image Picture() { return {2, 2, 3, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}; }

std::vector<std::string> Pictures() {
  return {*EncodePng(Picture()), *EncodeWebpLossless(Picture())};
}

v1::Receipt TinyReceipt() {
  v1::Receipt receipt = TinyStream(3, 2, 5).back().completed().receipt();
  receipt.set_model_version(4);
  receipt.mutable_parameters()->set_class_name("<b> & \"Zo\xc3\xab\"");
  return receipt;
}

TEST(ReceiptOfImageTest, IsThatOfTheImageAlone) {
  const v1::Receipt own = ReceiptOfImage(TinyReceipt(), 1);
  EXPECT_EQ(own.parameters().count(), 1u);
  EXPECT_EQ(own.parameters().first_image_index(), 6u);
  EXPECT_THAT(own.image_sha256(), ElementsAre(TinyReceipt().image_sha256(1)));
  v1::Receipt alone = TinyStream(1, 2, 6).back().completed().receipt();
  alone.mutable_parameters()->set_class_name(TinyReceipt().parameters().class_name());
  alone.set_request_id("another");
  EXPECT_EQ(own.SerializeAsString(), ReceiptOfImage(alone, 0).SerializeAsString())
      << "whatever it was drawn with, and whenever";
}

TEST(ReceiptOfImageTest, OfAMorphIsTheWholeOne) {
  v1::Receipt morph = TinyReceipt();
  morph.mutable_parameters()->set_morph_seed(9);
  const v1::Receipt own = ReceiptOfImage(morph, 1);
  EXPECT_EQ(own.parameters().count(), 3u);
  EXPECT_EQ(own.image_sha256_size(), 3);
  EXPECT_EQ(own.request_id(), "");
}

TEST(PictureReceiptTest, ComesOutAsItWentInAndLeavesNoTrace) {
  for (const std::string& picture : Pictures()) {
    const v1::Receipt receipt = ReceiptOfImage(TinyReceipt(), 2);
    const auto with = WithReceipt(picture, receipt);
    ASSERT_TRUE(with.ok()) << with.status();
    EXPECT_EQ(*with, *WithReceipt(picture, receipt));
    EXPECT_EQ(DecodeImage(*with)->pixels, Picture().pixels);
    const auto taken = TakeReceipt(*with);
    ASSERT_TRUE(taken.ok()) << taken.status();
    EXPECT_EQ(taken->receipt.SerializeAsString(), receipt.SerializeAsString());
    EXPECT_EQ(taken->picture, picture);
  }
}

TEST(PictureReceiptTest, StandsThereAsDocumented) {
  const v1::Receipt receipt = ReceiptOfImage(TinyReceipt(), 2);
  const std::string png = *WithReceipt(Pictures()[0], receipt);
  const std::string json = TakePngText(png, "diffusiond-receipt")->text;
  EXPECT_THAT(json, AllOf(HasSubstr("\"modelDigest\":\"d19357"), Not(HasSubstr("\n"))));
  EXPECT_TRUE(ReceiptFromJson(json).ok());
  const std::string xmp = TakeWebpXmp(*WithReceipt(Pictures()[1], receipt))->packet;
  EXPECT_THAT(xmp, HasSubstr("xmlns:diffusiond=\"urn:diffusiond:v1/\"><diffusiond:receipt>{"));
  EXPECT_THAT(xmp, HasSubstr("&amp; \\\"Zo\xc3\xab\\\""));
}

class ReadReceiptTest : public testing::Test {
 protected:
  ReadReceiptTest() {
    directory_ = fs::path(testing::TempDir()) / "read_receipt";
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  ~ReadReceiptTest() override { fs::remove_all(directory_); }

  std::string Write(const std::string& bytes) const {
    std::ofstream(directory_ / "file", std::ios::binary) << bytes;
    return (directory_ / "file").string();
  }
  std::string Refusal(const std::string& bytes) const {
    const std::string path = Write(bytes);
    const std::string message(ReadReceipt(path).status().message());
    EXPECT_THAT(message, testing::StartsWith(path));
    return message.substr(std::min(message.size(), path.size()));
  }

  fs::path directory_;
};

TEST_F(ReadReceiptTest, TakesJsonAndPictures) {
  const v1::Receipt receipt = TinyReceipt();
  const auto json = ReadReceipt(Write(ReceiptToJson(receipt)));
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(json->receipt.SerializeAsString(), receipt.SerializeAsString());
  EXPECT_EQ(json->picture, "");
  for (const std::string& picture : Pictures()) {
    const auto saved = ReadReceipt(Write(*WithReceipt(picture, receipt)));
    ASSERT_TRUE(saved.ok()) << saved.status();
    EXPECT_EQ(saved->picture, picture);
  }
}

TEST_F(ReadReceiptTest, SaysOfAPictureWithoutReceiptWhatToDo) {
  for (const std::string& picture : Pictures()) {
    EXPECT_THAT(Refusal(picture), AllOf(HasSubstr("carries no receipt"), HasSubstr("JSON file")));
  }
  const std::string other = *AddWebpXmp(Pictures()[1], "<x:xmpmeta>of another program</x:xmpmeta>");
  EXPECT_THAT(Refusal(other), HasSubstr("carries no receipt"));
  EXPECT_THAT(Refusal(*EncodeJpeg(Picture(), 95)), HasSubstr("of the format JPEG carries no"));
  EXPECT_THAT(Refusal("GIF89a..."), HasSubstr("of the format GIF carries no receipt"));
}

TEST_F(ReadReceiptTest, NamesDamage) {
  for (const std::string& picture : Pictures()) {
    const std::string with = *WithReceipt(picture, TinyReceipt());
    EXPECT_THAT(Refusal(with.substr(0, 300)), HasSubstr("ends too early"));
    std::string changed = with;
    changed[changed.find("modelDigest") + 1] = '"';
    EXPECT_THAT(Refusal(changed), HasSubstr("damaged: "));
  }
  EXPECT_THAT(Refusal(*AddPngText(Pictures()[0], kReceiptKeyword, "{\"modelDigest\":\"a\"}")),
              HasSubstr("the receipt in the picture is damaged: the receipt names no model"));
  const std::string endless(kMaxReceiptInPicture + 1, ' ');
  EXPECT_THAT(Refusal(*AddPngText(Pictures()[0], kReceiptKeyword, endless)),
              HasSubstr("a receipt of 1048577 bytes is more than"));
}

TEST_F(ReadReceiptTest, RefusesWhatIsNeither) {
  EXPECT_THAT(Refusal("hello"), HasSubstr("neither a picture nor the JSON of a receipt"));
  EXPECT_THAT(Refusal(" {]"), HasSubstr("not the JSON of a receipt"));
  EXPECT_THAT(Refusal(""), HasSubstr("is empty"));
  EXPECT_THAT(Refusal("{" + std::string(kMaxReceiptFile, ' ')), HasSubstr("more than 16 MiB"));
  fs::resize_file(Write("x"), kMaxPictureFile + 1);
  const std::string path = (directory_ / "file").string();
  EXPECT_THAT(std::string(ReadReceipt(path).status().message()),
              HasSubstr("has more than 268435456 bytes"));
}

TEST_F(ReadReceiptTest, NamesTheFileThatCannotBeRead) {
  const absl::Status status = ReadReceipt("/nowhere/receipt.json").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nowhere/receipt.json"));
  EXPECT_THAT(std::string(ReadReceipt(directory_.string()).status().message()),
              HasSubstr("Is a directory"));
}

}  // namespace
}  // namespace diffusiond
