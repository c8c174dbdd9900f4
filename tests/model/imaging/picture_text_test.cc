// Texts beside the pixels of PNG and WebP files: in, and out again without a trace.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <webp/decode.h>

#include <string>

#include "model/imaging/decode.h"
#include "model/imaging/png.h"
#include "model/imaging/png_text.h"
#include "model/imaging/webp.h"
#include "model/imaging/webp_xmp.h"
#include "tests/model/imaging/png_chunks.h"
#include "tests/model/imaging/test_image.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;

std::string Png() { return *EncodePng(NoiseImage(5, 3, 3)); }
std::string Webp(int width = 5) { return *EncodeWebpLossless(NoiseImage(width, 3, 3)); }

std::string RiffOf(const std::string& chunks) {
  std::string size = PngNumber(static_cast<uint32_t>(chunks.size() + 4));
  return "RIFF" + std::string(size.rbegin(), size.rend()) + "WEBP" + chunks;
}

TEST(PngTextTest, IsAnUncompressedChunkBehindTheHeader) {
  const std::string plain = Png();
  const std::string with = *AddPngText(plain, "key", "Zo\xc3\xab");
  const std::string chunk = PngChunk("iTXt", std::string("key\0\0\0\0\0Zo\xc3\xab", 12));
  EXPECT_EQ(with, plain.substr(0, 33) + chunk + plain.substr(33));
}

TEST(PngTextTest, ChangesNoPixelAndComesOutAgain) {
  const std::string plain = Png();
  for (const std::string& text : {std::string(), std::string("x"), std::string(100000, 'y')}) {
    const std::string with = *AddPngText(plain, "key", text);
    EXPECT_EQ(DecodeImage(with)->pixels, DecodeImage(plain)->pixels);
    const auto taken = TakePngText(with, "key");
    ASSERT_TRUE(taken.ok()) << taken.status();
    EXPECT_EQ(taken->text, text);
    EXPECT_EQ(taken->png, plain);
  }
}

TEST(PngTextTest, IsFoundAmongOthers) {
  const std::string one = *AddPngText(Png(), "key", "ours");
  const std::string with = *AddPngText(*AddPngText(one, "keyhole", "a"), "ke", "b");
  EXPECT_EQ(TakePngText(with, "key")->text, "ours");
  EXPECT_EQ(TakePngText(with, "other").status().code(), kNotFound);
  EXPECT_EQ(TakePngText(Png(), "key").status().code(), kNotFound);
}

TEST(PngTextTest, DamageIsNamed) {
  const std::string with = *AddPngText(Png(), "key", "text");
  const auto refusal = [](const std::string& bytes) { return TakePngText(bytes, "key").status(); };
  std::string flipped = with;
  flipped[with.find("text")] ^= 1;
  EXPECT_EQ(refusal(flipped).code(), kInvalid);
  EXPECT_THAT(std::string(refusal(flipped).message()), HasSubstr("checksum"));
  for (size_t size = 0; size < 33 + 12 + 12; ++size) {
    EXPECT_EQ(refusal(with.substr(0, size)).code(), kInvalid) << size;
  }
  const std::string compressed = PngSignature() + PngHeader(1, 1, 8, 0, false) +
                                 PngChunk("iTXt", std::string("key\0\1\0\0\0", 8) + Zlib("text")) +
                                 PngChunk("IEND", "");
  EXPECT_THAT(std::string(refusal(compressed).message()), HasSubstr("not as it was written"));
  EXPECT_EQ(AddPngText("GIF89a", "key", "text").status().code(), kInvalid);
  EXPECT_EQ(AddPngText(PngSignature(), "key", "text").status().code(), kInvalid);
}

TEST(WebpXmpTest, ChangesNoPixelAndComesOutAgain) {
  // Image chunks and packets of even and odd lengths.
  for (int width = 1; width < 8; ++width) {
    const std::string plain = Webp(width);
    for (const std::string& packet : {std::string(), std::string("x"), std::string(1000, 'y')}) {
      const std::string with = *AddWebpXmp(plain, packet);
      EXPECT_EQ(with.size() % 2, 0u);
      const auto image = DecodeImage(with);
      ASSERT_TRUE(image.ok()) << image.status();
      EXPECT_EQ(image->pixels, DecodeImage(plain)->pixels);
      const auto taken = TakeWebpXmp(with);
      ASSERT_TRUE(taken.ok()) << taken.status();
      EXPECT_EQ(taken->packet, packet);
      EXPECT_EQ(taken->webp, plain);
    }
  }
}

TEST(WebpXmpTest, IsInTheExtendedFormatWithItsFlagSet) {
  const std::string with = *AddWebpXmp(Webp(300), "xy");
  // Type, length, flags, and width and height less one.
  EXPECT_EQ(with.substr(12, 18), std::string("VP8X\x0a\0\0\0\x04\0\0\0\x2b\x01\0\x02\0\0", 18));
  EXPECT_EQ(with.substr(with.size() - 10), std::string("XMP \x02\0\0\0xy", 10));
}

TEST(WebpXmpTest, WhatElseIsInTheFileStays) {
  const std::string with = *AddWebpXmp(Webp(), "xy");
  const std::string exif("EXIF\x02\0\0\0MM", 10);
  std::string extended = with.substr(12);
  extended[8] = '\x0c';  // Also EXIF.
  const std::string packet("XMP \x02\0\0\0xy", 10);
  const auto taken = TakeWebpXmp(RiffOf(extended + exif));
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->packet, "xy");
  extended[8] = '\x08';
  EXPECT_EQ(taken->webp, RiffOf(extended.substr(0, extended.size() - packet.size()) + exif));
  EXPECT_EQ(AddWebpXmp(with, "again").status().code(), kInvalid) << "one packet a file";
}

TEST(WebpXmpTest, DamageIsNamed) {
  const std::string with = *AddWebpXmp(Webp(), "packet");
  for (size_t size = 0; size < with.size(); ++size) {
    EXPECT_EQ(TakeWebpXmp(with.substr(0, size)).status().code(), kInvalid) << size;
  }
  std::string longer = with;
  longer[with.find("XMP ") + 4] = '\x7f';
  EXPECT_EQ(TakeWebpXmp(longer).status().code(), kInvalid) << "it reaches beyond the file";
  EXPECT_EQ(TakeWebpXmp(Webp()).status().code(), kNotFound);
  EXPECT_EQ(TakeWebpXmp("GIF89a").status().code(), kInvalid);
  EXPECT_EQ(AddWebpXmp("GIF89a", "x").status().code(), kInvalid);
  EXPECT_EQ(AddWebpXmp(RiffOf("VP8L"), "x").status().code(), kInvalid);
}

// A packet behind it would be out of step: decoders read such files, so they exist.
TEST(WebpXmpTest, AnImageWithoutItsPaddingTakesNoPacket) {
  int unpadded = 0;
  for (int width = 1; width < 8; ++width) {
    const std::string plain = Webp(width), chunk = plain.substr(12);
    if (chunk[4] % 2 == 0) continue;
    ++unpadded;
    const std::string cut = RiffOf(chunk.substr(0, chunk.size() - 1));
    ASSERT_TRUE(DecodeImage(cut).ok()) << DecodeImage(cut).status();
    EXPECT_EQ(AddWebpXmp(cut, "packet").status().code(), kInvalid);
    EXPECT_EQ(AddWebpXmp(RiffOf(chunk.substr(0, chunk.size() - 2)), "packet").status().code(),
              kInvalid)
        << "the picture itself is cut";
  }
  EXPECT_GT(unpadded, 0);
}

}  // namespace
}  // namespace diffusiond
