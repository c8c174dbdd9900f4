#include "server/models/closest_name.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/sampling/sampler.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(UnknownName, SuggestsOnlyWhatIsNear) {
  const std::vector<std::string> names = {"Trouser", "Ankle boot", "", "Bag"};
  EXPECT_THAT(UnknownName("ankleboot", names), HasSubstr("did you mean \"Ankle boot\"?"));
  EXPECT_THAT(UnknownName("TROUSERS", names), HasSubstr("did you mean \"Trouser\"?"));
  EXPECT_THAT(UnknownName("spaceship", names), Not(HasSubstr("did you mean")));
  EXPECT_THAT(UnknownName("spaceship", names), HasSubstr("there are: Trouser, Ankle boot, Bag"));
}

TEST(UnknownName, ListsEverySampler) {
  std::vector<std::string> names;
  for (const Sampler& sampler : Samplers()) names.push_back(sampler.name);
  EXPECT_THAT(UnknownName("unpic", names), HasSubstr(", " + names.back()));
}

TEST(UnknownName, CutsLongLists) {
  const std::vector<std::string> names(1000, "something");
  const std::string text = UnknownName("nothing", names);
  EXPECT_LT(text.size(), 300u);
  EXPECT_THAT(text, HasSubstr(", ..."));
}

}  // namespace
}  // namespace diffusiond
