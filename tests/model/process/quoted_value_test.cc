#include "model/process/quoted_value.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

TEST(QuoteValue, EscapesAndCutsBetweenCharacters) {
  EXPECT_EQ(QuoteValue("a\"b\n"), "\"a\\\"b\\n\"");
  EXPECT_EQ(QuoteValue("größe"), "\"größe\"");
  std::string umlauts;
  for (int i = 0; i < 1000; ++i) umlauts += "ü";
  const std::string quoted = QuoteValue("x" + umlauts);
  EXPECT_LT(quoted.size(), 60u);
  EXPECT_THAT(quoted, HasSubstr("ü...\""));
}

}  // namespace
}  // namespace diffusiond
