#include "server/http/openai_models.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Listed(const std::string& default_model) {
  ModelCatalog catalog(default_model);
  for (const char* name : {"bags", "clothes", "shoes"}) catalog.Put(TestModel(name));
  const nlohmann::ordered_json list = OpenAiModels(catalog, {});
  std::vector<std::string> names;
  for (const auto& model : list["data"]) names.push_back(model["id"]);
  return names;
}

TEST(OpenAiModelsTest, TheDefaultModelComesFirst) {
  EXPECT_THAT(Listed("shoes"), ElementsAre("shoes", "bags", "clothes"));
  EXPECT_THAT(Listed("bags"), ElementsAre("bags", "clothes", "shoes"));
}

TEST(OpenAiModelsTest, WithoutOneThatIsServedTheyComeByName) {
  EXPECT_THAT(Listed(""), ElementsAre("bags", "clothes", "shoes"));
  EXPECT_THAT(Listed("not loaded"), ElementsAre("bags", "clothes", "shoes"));
}

}  // namespace
}  // namespace diffusiond
