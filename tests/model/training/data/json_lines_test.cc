#include "model/training/data/json_lines.h"

#include "tests/model/training/data/data_fixture.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;

TEST(JsonLinesTest, EachObjectIsARowOfTheFirstOnesFields) {
  const auto rows = ParseJsonLines(
      "{\"b\": \"x\\\"y\", \"a\": 7}\r\n\n{\"a\": [1, {}], \"c\": 1}\n{\"b\": null}");
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 4u);
  EXPECT_THAT((*rows)[0].fields, ElementsAre("a", "b"));
  EXPECT_THAT((*rows)[1].fields, ElementsAre("7", "x\"y"));
  EXPECT_THAT((*rows)[2].fields, ElementsAre("[1,{}]", ""));
  EXPECT_EQ((*rows)[2].line, 3);
  EXPECT_THAT((*rows)[2].nested, ElementsAre(0u));
  EXPECT_THAT((*rows)[3].fields, ElementsAre("", "")) << "null is nothing, not a word";
}

TEST(JsonLinesTest, OtherLinesAreRefusedByNumber) {
  for (const char* line : {"{", "[]", "3", "{\"a\": 1} {\"a\": 2}", "\xff\xfe{"}) {
    ExpectRefused(ParseJsonLines(std::string("{\"a\": 1}\n") + line),
                  absl::StatusCode::kInvalidArgument, {"line 2"});
  }
}

}  // namespace
}  // namespace diffusiond
