#include "model/training/data/gunzip.h"

#include "tests/model/training/data/data_fixture.h"

namespace diffusiond {
namespace {

std::string Varied(size_t size) {
  std::string bytes;
  uint32_t state = 1;
  for (size_t i = 0; i < size; ++i) {
    state = state * 1664525 + 1013904223;
    bytes.push_back(static_cast<char>(state >> 24));
  }
  return bytes;
}

TEST(GunzipTest, ExpandsWhatFitsTheLimit) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{1} << 18, size_t{700'001}}) {
    const std::string bytes = Varied(size);
    const auto expanded = Gunzip(Gzip(bytes), size);
    ASSERT_TRUE(expanded.ok()) << size << ": " << expanded.status();
    EXPECT_EQ(*expanded, bytes);
    if (size > 0) {
      ExpectRefused(Gunzip(Gzip(bytes), size - 1), absl::StatusCode::kResourceExhausted,
                    {"more than"});
    }
  }
}

TEST(GunzipTest, MembersFollowEachOther) {
  const auto expanded = Gunzip(Gzip("one ") + Gzip("") + Gzip("two"), 100);
  ASSERT_TRUE(expanded.ok()) << expanded.status();
  EXPECT_EQ(*expanded, "one two");
}

TEST(GunzipTest, ABombIsStoppedAtTheLimit) {
  const std::string bomb = Gzip(std::string(size_t{1} << 24, '\0'));
  EXPECT_LT(bomb.size(), 20'000u);
  ExpectRefused(Gunzip(bomb, 1000), absl::StatusCode::kResourceExhausted, {"1000"});
}

TEST(GunzipTest, TheStartIsGivenWhateverFollowsIt) {
  const std::string bytes(1'000'000, '\0');
  const std::string whole = Gzip(bytes);
  EXPECT_EQ(*GunzipStart(whole, 16), std::string(16, '\0'));
  EXPECT_EQ(*GunzipStart(whole.substr(0, whole.size() / 2), 16), std::string(16, '\0'));
  EXPECT_EQ(*GunzipStart(Gzip("short"), 16), "short");
  EXPECT_EQ(*GunzipStart(Gzip("one ") + Gzip("two"), 6), "one tw");
  ExpectRefused(GunzipStart("plain text", 5), absl::StatusCode::kInvalidArgument, {"damaged"});
}

TEST(GunzipTest, EveryTruncationIsRefused) {
  const std::string whole = Gzip(Varied(200));
  for (size_t size = 0; size < whole.size(); ++size) {
    ExpectRefused(Gunzip(whole.substr(0, size), 1000), absl::StatusCode::kInvalidArgument,
                  {"truncated"});
  }
}

TEST(GunzipTest, DamageAndTrailingBytesAreRefused) {
  const std::string whole = Gzip(Varied(200));
  // The header's time stamp, flags of the compressor and system are nobody's business.
  for (size_t i = 10; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x21);
    EXPECT_FALSE(Gunzip(damaged, 1000).ok()) << i;
  }
  EXPECT_FALSE(Gunzip(whole + "x", 1000).ok());
  EXPECT_FALSE(Gunzip(whole + std::string(20, '\0'), 1000).ok());
  EXPECT_FALSE(Gunzip("plain text", 1000).ok());
}

}  // namespace
}  // namespace diffusiond
