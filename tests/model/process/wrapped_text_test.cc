#include "model/process/wrapped_text.h"

#include "gtest/gtest.h"

namespace diffusiond {
namespace {

TEST(WrapTextTest, BreaksAtBlanksAndKeepsLongWordsWhole) {
  EXPECT_EQ(WrapText("one two three", 2, 9), "one two\n  three");
  EXPECT_EQ(WrapText("one two three", 2, 10), "one two\n  three");
  EXPECT_EQ(WrapText("a https://example.org b", 1, 8), "a\n https://example.org\n b");
  EXPECT_EQ(WrapText("", 2, 9), "");
}

}  // namespace
}  // namespace diffusiond
