#include "server/http/flat_request.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/http/http_errors.h"
#include "server/http/json_api.h"
#include "server/http/openai_images.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Query = std::vector<std::pair<std::string, std::string>>;

void Serve(ModelCatalog& catalog, std::vector<std::string> classes = {"T-shirt", "Trouser"}) {
  ServedModel model = TestModel();
  model.class_names = std::move(classes);
  catalog.Put(std::move(model));
}

// The names of what is wrong.
std::vector<std::string> Wrong(const absl::Status& status) {
  std::vector<std::string> names;
  const nlohmann::json error = ErrorJson(status)["error"];
  if (!error.contains("violations")) return names;
  for (const auto& violation : error["violations"]) names.push_back(violation["field"]);
  return names;
}

absl::Status ReadQuery(const Query& query) {
  HttpRequest request;
  request.query = query;
  ModelCatalog catalog;
  Serve(catalog);
  return ReadQueryRequest(request, catalog).status();
}

TEST(FlatRequest, AQueryNamesEachFieldOnce) {
  EXPECT_THAT(Wrong(ReadQuery({{"steps", "3"}, {"steps", "4"}})), ElementsAre("steps"));
  EXPECT_THAT(Wrong(ReadQuery({{"every_steps", "3"}, {"everySteps", "3"}})),
              ElementsAre("every_steps"));
  EXPECT_THAT(Wrong(ReadQuery({{"class", "1"}, {"class", "2"}})), ElementsAre("class"));
  EXPECT_THAT(Wrong(ReadQuery({{"class", "1"}, {"class_id", "1"}})), ElementsAre("class_id"));
  EXPECT_THAT(Wrong(ReadQuery({{"class_id", "1"}, {"class_name", "Sneaker"}})),
              ElementsAre("class_name"));
  EXPECT_THAT(Wrong(ReadQuery({{"steps", "3"}, {"seed", "3"}, {"class", "1"}})), IsEmpty());
}

TEST(FlatRequest, ABodyNamesEachFieldOnce) {
  const std::pair<const char*, const char*> bodies[] = {
      {R"({"count": 1, "count": 1})", "count"},
      {R"({"sampling": {"steps": 1, "steps": 2}})", "steps"},
      {R"({"sampling": {"steps": 1}, "sampling": {"seed": 2}})", "sampling"},
      {R"({"classId": 1, "className": "Sneaker"})", "className"},
      {R"({"class_id": 1, "classId": 1})", "class_id"},
      {R"({"sampling": {"guidance_scale": 1, "guidanceScale": 2}})", "sampling.guidance_scale"}};
  for (const auto& [body, field] : bodies) {
    EXPECT_THAT(Wrong(RequestOfJson(body).status()), ElementsAre(field)) << body;
  }
  for (const char* body : {R"({"classId": null, "className": "Sneaker"})",
                           R"({"sampling": {"steps": 1}, "preview": {"everySteps": 1}})"}) {
    EXPECT_TRUE(RequestOfJson(body).ok()) << body;
  }
}

TEST(FlatRequest, AnOpenAiBodyNamesEachFieldOnce) {
  ModelCatalog catalog;
  Serve(catalog);
  const std::pair<const char*, const char*> bodies[] = {
      {R"({"prompt": "T-shirt", "prompt": "Trouser"})", "prompt"},
      {R"({"prompt": "Trouser", "every_steps": 1, "everySteps": 2})", "every_steps"}};
  for (const auto& [body, field] : bodies) {
    HttpRequest request;
    request.body = body;
    EXPECT_THAT(Wrong(ReadOpenAiGeneration(request, catalog).status()), ElementsAre(field)) << body;
  }
}

TEST(FlatRequest, SaysWhatAFieldTakes) {
  const std::pair<const char*, const char*> fields[] = {
      {"steps", "a whole number, 0 .. 4294967295"},
      {"seed", "a whole number, 0 .. 18446744073709551615"},
      {"strength", "takes a number"},
      {"format", "takes png, webp, jpeg, raw_float32"},
      {"priority", "low"},
      {"init_image", "base64"},
      {"sampling", "an object"}};
  for (const auto& [field, taken] : fields) {
    const absl::Status status = ReadQuery({{field, "?"}});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field;
    EXPECT_THAT(std::string(status.message()), HasSubstr(taken));
  }
}

// As the query and as OpenAI's prompt.
void ExpectClass(const std::string& told, const std::vector<std::string>& classes,
                 const std::string& name, int id) {
  ModelCatalog catalog;
  Serve(catalog, classes);
  HttpRequest query, prompt;
  query.query = {{"class", told}};
  prompt.body = nlohmann::json({{"prompt", told}}).dump();
  const auto by_query = ReadQueryRequest(query, catalog);
  const auto by_prompt = ReadOpenAiGeneration(prompt, catalog);
  ASSERT_TRUE(by_query.ok() && by_prompt.ok()) << by_query.status() << by_prompt.status();
  for (const v1::GenerateRequest& request : {by_query->request, by_prompt->request}) {
    if (name.empty()) {
      EXPECT_TRUE(request.has_class_id()) << told;
      EXPECT_EQ(request.class_id(), static_cast<uint32_t>(id)) << told;
    } else {
      EXPECT_EQ(request.class_name(), name) << told;
    }
  }
}

TEST(FlatRequest, AClassIsANameBeforeItIsANumber) {
  ExpectClass("1", {"T-shirt", "Trouser"}, "", 1);
  ExpectClass("1", {"1", "0"}, "1", 0);
  ExpectClass("7", {"7", "0"}, "7", 0);
  ExpectClass("Trouser", {"T-shirt", "Trouser"}, "Trouser", 0);
  ExpectClass("1", {"", ""}, "", 1);
}

}  // namespace
}  // namespace diffusiond
