#include "model/process/nearest_word.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace diffusiond {
namespace {

TEST(EditDistanceTest, CountsWhatIsPutInTakenOutReplacedAndSwapped) {
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("steps", "steps"), 0u);
  EXPECT_EQ(EditDistance("stps", "steps"), 1u);
  EXPECT_EQ(EditDistance("stepps", "steps"), 1u);
  EXPECT_EQ(EditDistance("sleps", "steps"), 1u);
  EXPECT_EQ(EditDistance("stpes", "steps"), 1u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(EditDistance("ca", "abc"), 3u) << "a pair that was swapped is not edited again";
}

TEST(NearestWordTest, GivesWhatFitsAndElseNothing) {
  const std::vector<std::string> words = {"count", "eta", "out", "seed", "server", "steps"};
  EXPECT_EQ(NearestWord("stpes", words), "steps");
  EXPECT_EQ(NearestWord("cuont", words), "count");
  EXPECT_EQ(NearestWord("ste", words), "steps");
  EXPECT_EQ(NearestWord("sedd", words), "seed");
  EXPECT_EQ(NearestWord("port", words), "") << "half of it would have to change to be out";
  EXPECT_EQ(NearestWord("size", words), "");
  EXPECT_EQ(NearestWord("x", words), "");
}

}  // namespace
}  // namespace diffusiond
