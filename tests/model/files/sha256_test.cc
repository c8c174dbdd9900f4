#include "model/files/sha256.h"

#include <string>

#include "gtest/gtest.h"

namespace diffusiond {
namespace {

// FIPS 180-4 examples, from NIST's example values.
constexpr char kEmpty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kMillionA[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256Test, MatchesPublishedVectors) {
  EXPECT_EQ(Sha256Hex(""), kEmpty);
  EXPECT_EQ(Sha256Hex("abc"), kAbc);
}

TEST(Sha256Test, PiecesGiveTheDigestOfTheWhole) {
  Sha256 sha;
  const std::string piece(997, 'a');
  size_t left = 1000000;
  while (left > 0) {
    const size_t size = std::min(left, piece.size());
    sha.Update(absl::string_view(piece).substr(0, size));
    left -= size;
  }
  EXPECT_EQ(sha.FinishHex(), kMillionA);
}

}  // namespace
}  // namespace diffusiond
