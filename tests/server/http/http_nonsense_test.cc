// What strangers send over HTTP: each is refused by name, none takes the process or its time along.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/server/http/front_requests.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kImages[] = "/v1/images/generations";

class HttpNonsenseTest : public ::testing::Test {
 protected:
  HttpNonsenseTest() : front_(StartBefore(server_)) {}

  // The error of a request that is refused with 400.
  nlohmann::json Refusal(const std::string& request) {
    const std::string answer = Ask(*front_, request);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400"));
    return nlohmann::json::parse(BodyOf(answer), nullptr, /*allow_exceptions=*/false)["error"];
  }

  static std::string Form(const std::string& name, const std::string& content) {
    return absl::StrCat("--b\r\nContent-Disposition: form-data; name=\"", name, "\"\r\n\r\n",
                        content, "\r\n");
  }
  static std::string Edit(const std::string& parts) {
    return Post("/v1/images/edits", absl::StrCat(parts, "--b--\r\n"),
                "Content-Type: multipart/form-data; boundary=b\r\n");
  }

  TestServer server_;
  const std::unique_ptr<HttpFront> front_;
};

TEST_F(HttpNonsenseTest, TextThatIsNoUtf8) {
  for (const char* name : {"stream", "partial_images", "prompt", "seed", "colour"}) {
    EXPECT_EQ(Refusal(Edit(Form("image", "x") + Form(name, "\xff")))["param"], name);
  }
  EXPECT_THAT(Refusal(Edit(Form("image", "x") + Form("a\xff", "7"))).dump(), HasSubstr("a\\\\xff"));
  EXPECT_EQ(Refusal(Get("/v1/generate?steps=%FF"))["param"], "steps");
  EXPECT_THAT(Refusal(Get("/v1/generate?a%FF=1")).dump(), HasSubstr("a\\\\xff"));
  EXPECT_THAT(Refusal(Post(kImages, "{\"prompt\": \"\xff\"}"))["message"],
              "the body is no JSON object");
}

TEST_F(HttpNonsenseTest, JsonOfManyLevels) {
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  for (const char* name : {"n", "prompt", "stream", "colour"}) {
    EXPECT_EQ(Refusal(Post(kImages, absl::StrCat("{\"", name, "\": ", deep, "}")))["message"],
              "the body is nested deeper than 16 levels");
  }
  Refusal(Post(kImages, deep));
  Refusal(Post("/v1/generate", absl::StrCat("{\"sampling\": ", deep, "}")));
}

TEST_F(HttpNonsenseTest, ManyFields) {
  std::string fields, parts, query;
  for (int i = 0; i < 50'000; ++i) absl::StrAppend(&fields, "\"f", i, "\": 1, ");
  for (int i = 0; i < 90; ++i) parts += Form(absl::StrCat("f", i), "1");
  for (int i = 0; i < 500; ++i) absl::StrAppend(&query, "f", i, "&");
  const nlohmann::json error =
      Refusal(Post(kImages, absl::StrCat("{", fields, "\"prompt\": \"sneaker\"}")));
  EXPECT_EQ(error["violations"].size(), 65u);
  EXPECT_EQ(error["violations"].back()["description"], "and 49936 more");
  EXPECT_EQ(
      Refusal(Edit(Form("image", "x") + Form("prompt", "sneaker") + parts))["violations"].size(),
      65u);
  EXPECT_EQ(Refusal(Get("/v1/generate?" + query))["violations"].size(), 65u);
}

TEST_F(HttpNonsenseTest, FieldsThatSayOtherwiseThanTheirs) {
  const std::pair<const char*, const char*> names[] = {
      {"count", "n"},         {"format", "output_format"}, {"class", "prompt"},
      {"class_id", "prompt"}, {"classId", "prompt"},       {"class_name", "prompt"},
      {"className", "prompt"}};
  for (const auto& [ours, theirs] : names) {
    const nlohmann::json error =
        Refusal(Post(kImages, absl::StrCat(R"({"prompt": "sneaker", ")", ours, "\": 2}")));
    EXPECT_EQ(error["message"], absl::StrCat(theirs, ": is what ", ours, " is called here"));
    EXPECT_EQ(error["param"], theirs);
  }
}

TEST_F(HttpNonsenseTest, FaultsAreToldByTheNamesThatWereSent) {
  EXPECT_EQ(Refusal(Get("/v1/generate?class=sneaker&steps=100000"))["param"], "steps");
  EXPECT_EQ(Refusal(Post(kImages, R"({"prompt": "sneaker", "steps": 100000})"))["param"], "steps");
  EXPECT_EQ(Refusal(Post(kImages, R"({"prompt": "sneaker", "n": 100000})"))["param"], "n");
  EXPECT_EQ(Refusal(Post("/v1/generate", R"({"sampling": {"steps": 100000}})"))["param"],
            "sampling.steps");
}

TEST_F(HttpNonsenseTest, HeadDrawsNothing) {
  std::string head = Get("/v1/generate?class=sneaker", "Accept: text/event-stream\r\n");
  head.replace(0, 3, "HEAD");
  EXPECT_THAT(Ask(*front_, head), AllOf(StartsWith("HTTP/1.1 405"), HasSubstr("Allow: GET, POST")));
  std::string models = Get("/v1/models");
  models.replace(0, 3, "HEAD");
  EXPECT_THAT(Ask(*front_, models), StartsWith("HTTP/1.1 200"));
}

}  // namespace
}  // namespace diffusiond
