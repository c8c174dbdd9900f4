#include "model/training/data/csv.h"

#include "tests/model/training/data/data_fixture.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;

TEST(CsvTest, ReadsRowsAndTheirLines) {
  const auto rows = ParseCsv(
      "\xef\xbb\xbf"
      "a,b\r\n1,\"x, \"\"y\"\"\"\n\n2,\"two\nlines\"\n3,");
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 4u);
  EXPECT_THAT((*rows)[0].fields, ElementsAre("a", "b"));
  EXPECT_THAT((*rows)[1].fields, ElementsAre("1", "x, \"y\""));
  EXPECT_THAT((*rows)[2].fields, ElementsAre("2", "two\nlines"));
  EXPECT_THAT((*rows)[3].fields, ElementsAre("3", ""));
  EXPECT_EQ((*rows)[1].line, 2);
  EXPECT_EQ((*rows)[2].line, 4);
  EXPECT_EQ((*rows)[3].line, 6);
}

TEST(CsvTest, QuotedLastFieldMayEndTheLineOrTheText) {
  for (const char* text : {"\"a\",\"b\"\r\nc,d\r\n", "a,b\nc,\"d\"", "a,b\n\"c\",\"d\"\n"}) {
    const auto rows = ParseCsv(text);
    ASSERT_TRUE(rows.ok()) << rows.status();
    ASSERT_EQ(rows->size(), 2u);
    EXPECT_THAT((*rows)[1].fields, ElementsAre("c", "d"));
  }
}

TEST(CsvTest, NothingIsNoRows) {
  EXPECT_TRUE(ParseCsv("")->empty());
  EXPECT_TRUE(ParseCsv("\n\r\n")->empty());
}

TEST(CsvTest, SaysWhichLineIsWrong) {
  struct Case {
    const char* text;
    const char* expected;
  };
  const Case cases[] = {{"a,b\n1\n", "line 2: 1 fields, expected 2"},
                        {"a\n1,2\n", "line 2: 2 fields, expected 1"},
                        {"a\n\n\"open\n", "line 3: a quote is not closed"},
                        {"a\n\"1\"2\n", "line 2: text follows a closing quote"}};
  for (const Case& c : cases) {
    ExpectRefused(ParseCsv(c.text), absl::StatusCode::kInvalidArgument, {c.expected});
  }
}

}  // namespace
}  // namespace diffusiond
