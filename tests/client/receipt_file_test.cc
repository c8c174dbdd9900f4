#include "client/receipt_file.h"

#include <string>

#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "tests/client/fake_diffusion_service.h"

namespace diffusiond {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

v1::Receipt TinyReceipt() { return TinyStream(2, 3).back().completed().receipt(); }

TEST(ReceiptFileTest, SurvivesTheWayThroughJson) {
  v1::Receipt receipt = TinyReceipt();
  receipt.mutable_parameters()->set_seed(0xFFFFFFFFFFFFFFFF);
  receipt.mutable_parameters()->mutable_sampling()->set_guidance_scale(1.1f);
  const auto read = ReceiptFromJson(ReceiptToJson(receipt));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(MessageDifferencer::Equals(*read, receipt)) << read->DebugString();
}

TEST(ReceiptFileTest, IsTheProto3JsonMapping) {
  const std::string json = ReceiptToJson(TinyReceipt());
  EXPECT_THAT(json, HasSubstr("\"modelDigest\": \"d19357"));
  EXPECT_THAT(json, HasSubstr("\"seed\": \"7\""));
  EXPECT_THAT(json, HasSubstr("\"format\": \"IMAGE_FORMAT_PNG\""));
  EXPECT_EQ(json.back(), '\n');
}

TEST(ReceiptFileTest, RefusesWhatReplaysNothing) {
  const auto message = [](const v1::Receipt& receipt) {
    return std::string(ReceiptFromJson(ReceiptToJson(receipt)).status().message());
  };
  v1::Receipt receipt = TinyReceipt();
  receipt.clear_image_sha256();
  EXPECT_THAT(message(receipt), HasSubstr("2 images and lists 0 hashes"));
  receipt = TinyReceipt();
  receipt.clear_model_digest();
  EXPECT_THAT(message(receipt), HasSubstr("modelDigest"));
  EXPECT_THAT(message({}), HasSubstr("parameters.model"));
  EXPECT_THAT(std::string(ReceiptFromJson("{]").status().message()), HasSubstr("not the JSON"));
  EXPECT_THAT(std::string(ReceiptFromJson("{\"modl\": 1}").status().message()), HasSubstr("modl"));
}

TEST(RequestFromReceiptTest, LeavesNothingToTheServersDefaults) {
  const v1::GenerateRequest request = RequestFromReceipt(TinyReceipt());
  EXPECT_EQ(request.model(), "tiny");
  EXPECT_EQ(request.count(), 2u);
  EXPECT_EQ(request.seed(), 7u);
  EXPECT_EQ(request.class_id(), 1u);
  EXPECT_EQ(request.sampling().guidance_scale(), 2);
  EXPECT_EQ(request.sampling().sampler(), "ddim");
  EXPECT_EQ(request.sampling().steps(), 3u);
  EXPECT_EQ(request.sampling().eta(), 0.5f);
  EXPECT_EQ(request.sampling().timestep_spacing(), "leading");
  EXPECT_TRUE(request.sampling().clip_sample());
  EXPECT_EQ(request.format(), v1::IMAGE_FORMAT_PNG);
  EXPECT_FALSE(request.has_preview());
}

TEST(RequestFromReceiptTest, StartsWhereItStarted) {
  v1::Receipt receipt = TinyReceipt();
  receipt.mutable_parameters()->mutable_sampling()->set_strength(0.5f);
  receipt.mutable_parameters()->set_morph_seed(0);
  const v1::GenerateRequest request = RequestFromReceipt(receipt);
  EXPECT_EQ(request.sampling().strength(), 0.5f);
  EXPECT_TRUE(request.has_morph_seed());
  EXPECT_FALSE(RequestFromReceipt(TinyReceipt()).sampling().has_strength());
}

TEST(CheckStartTest, WantsTheBytesThatTheReceiptNames) {
  v1::Receipt receipt = TinyReceipt();
  v1::GenerateRequest request;
  EXPECT_TRUE(CheckStart(receipt, request).ok());
  request.set_mask("white");
  EXPECT_THAT(std::string(CheckStart(receipt, request).message()),
              HasSubstr("--mask: the receipt is of images without one"));
  // Of "abc".
  const std::string sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  receipt.mutable_parameters()->set_init_image_sha256(sha256);
  request.clear_mask();
  EXPECT_THAT(
      std::string(CheckStart(receipt, request).message()),
      HasSubstr("--init_image: the receipt needs the bytes with SHA-256 " + sha256 + ", not none"));
  request.set_init_image("abc");
  EXPECT_TRUE(CheckStart(receipt, request).ok());
}

TEST(RequestFromReceiptTest, FitsPicturesAsTheyWere) {
  v1::Receipt receipt = TinyReceipt();
  receipt.mutable_parameters()->set_picture_fit(v1::PICTURE_FIT_CONTAIN);
  EXPECT_EQ(RequestFromReceipt(receipt).picture_fit(), v1::PICTURE_FIT_CONTAIN);
}

TEST(RequestFromReceiptTest, LimitsGuidanceAsItWas) {
  v1::Receipt receipt = TinyReceipt();
  EXPECT_FALSE(RequestFromReceipt(receipt).sampling().has_guidance_sigma_max());
  receipt.mutable_parameters()->mutable_sampling()->set_guidance_sigma_min(0.5f);
  receipt.mutable_parameters()->mutable_sampling()->set_guidance_sigma_max(4);
  receipt.mutable_parameters()->mutable_sampling()->set_guidance_rescale(0.75f);
  const v1::GenerateRequest request = RequestFromReceipt(receipt);
  EXPECT_EQ(request.sampling().guidance_sigma_min(), 0.5f);
  EXPECT_EQ(request.sampling().guidance_sigma_max(), 4);
  EXPECT_EQ(request.sampling().guidance_rescale(), 0.75f);
}

TEST(RequestFromReceiptTest, AsksInTheReceiptsOwnWords) {
  v1::Receipt receipt = TinyReceipt();
  receipt.mutable_parameters()->mutable_sampling()->set_s_tmax(3);
  const v1::GenerateRequest request = RequestFromReceipt(receipt);
  EXPECT_EQ(request.sampling().SerializeAsString(),
            receipt.parameters().sampling().SerializeAsString());
}

TEST(RequestFromReceiptTest, AnUnconditionalReceiptAsksForNoClass) {
  v1::Receipt receipt = TinyReceipt();
  receipt.mutable_parameters()->clear_class_id();
  EXPECT_EQ(RequestFromReceipt(receipt).class_case(), v1::GenerateRequest::CLASS_NOT_SET);
}

TEST(DifferingTest, NamesEachFieldAndImage) {
  const v1::Receipt then = TinyReceipt();
  v1::Receipt now = then;
  EXPECT_THAT(DifferingImages(then, now), IsEmpty());
  EXPECT_THAT(DifferingNumerics(then.numerics(), now.numerics()), IsEmpty());
  now.set_image_sha256(1, "00");
  now.mutable_numerics()->set_device_kind("NVIDIA H100");
  now.mutable_numerics()->set_micro_batch(16);
  EXPECT_THAT(DifferingImages(then, now),
              ElementsAre("image 1: " + then.image_sha256(1) + " then, 00 now"));
  EXPECT_THAT(DifferingNumerics(then.numerics(), now.numerics()),
              ElementsAre("device_kind: 'cpu (AVX2)' then, 'NVIDIA H100' now",
                          "micro_batch: '4' then, '16' now"));
}

}  // namespace
}  // namespace diffusiond
