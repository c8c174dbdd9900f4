#include "model/training/data/label_table.h"

#include "absl/strings/str_cat.h"
#include "tests/model/training/data/data_fixture.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LabelTableTest : public DataFixture {
 protected:
  LabelTableTest() {
    for (const char* name : {"a.png", "b.png", "c.png"}) Write(name, FlatPng(1, 1, {1}));
  }

  absl::StatusOr<ImageList> List(const std::string& text) {
    return ListLabelTable(root(), Write("labels.csv", text));
  }
};

TEST_F(LabelTableTest, RowsAreSortedByFile) {
  const auto list = List("file,label\nc.png,1\na.png,0\n");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(list->files, ElementsAre(root() / "a.png", root() / "c.png"));
  EXPECT_THAT(list->labels, ElementsAre(0, 1));
  EXPECT_THAT(list->class_names, IsEmpty());
}

TEST_F(LabelTableTest, ClassNamesComeFromClassOrGroup) {
  const auto group =
      List("file,label,group,name\na.png,1,\"Food, Drink\",tea\nb.png,0,Animals,cat\n");
  ASSERT_TRUE(group.ok()) << group.status();
  EXPECT_THAT(group->class_names, ElementsAre("Animals", "Food, Drink"));
  const auto both = List("group,class,label,file\nx,Animals,0,a.png\ny,Animals,0,b.png\n");
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_THAT(both->class_names, ElementsAre("Animals"));
}

TEST_F(LabelTableTest, LabelsMayBeNames) {
  const auto list = List("file_name,label\na.png,dog\nb.png,cat\nc.png,dog\n");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(list->class_names, ElementsAre("cat", "dog"));
  EXPECT_THAT(list->labels, ElementsAre(1, 0, 1));
}

TEST_F(LabelTableTest, JsonLinesAreATableToo) {
  const auto list = ListLabelTable(
      root(), Write("metadata.jsonl",
                    "{\"file_name\": \"b.png\", \"label\": 1, \"text\": \"a, b\"}\n\n"
                    "{\"label\": 0, \"file_name\": \"a.png\"}\n"));
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(list->files, ElementsAre(root() / "a.png", root() / "b.png"));
  EXPECT_THAT(list->labels, ElementsAre(0, 1));
}

TEST_F(LabelTableTest, JsonThatIsNoLabelIsRefusedWithItsLine) {
  struct Case {
    const char* label;
    const char* other;
    const char* expected;
  };
  for (const Case& c :
       {Case{"null", "\"cat\"", "line 2: there is no label, expected a class's name"},
        {"null", "1", "line 2: label is '', expected a number from 0"},
        {"[1]", "1", "line 2: label is '[1]', expected a class's name or a number from 0"},
        {"{\"id\": 1}", "\"cat\"", "line 2: label is '{\"id\":1}', expected a class's name"}}) {
    SCOPED_TRACE(c.label);
    const std::string text =
        absl::StrCat("{\"file_name\": \"a.png\", \"label\": ", c.other,
                     "}\n{\"file_name\": \"b.png\", \"label\": ", c.label, "}\n");
    ExpectRefused(ListLabelTable(root(), Write("metadata.jsonl", text)),
                  absl::StatusCode::kInvalidArgument, {"metadata.jsonl", c.expected});
  }
  const auto boxes = ListLabelTable(
      root(),
      Write("metadata.jsonl",
            "{\"file_name\": \"a.png\", \"label\": \"[x]\", \"objects\": {\"box\": [1]}}\n"));
  ASSERT_TRUE(boxes.ok()) << boxes.status();
  EXPECT_THAT(boxes->class_names, ElementsAre("[x]"));
}

TEST_F(LabelTableTest, PicturesThatItDoesNotNameAreLeftOut) {
  Write("deep/d.jfif", "");
  Write("deep/notes.txt", "");
  const auto list = List("file,label\n./a.png,0\n");
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->left_out.size(), 3u);
  EXPECT_EQ(list->left_out[0].file, "b.png");
  EXPECT_EQ(list->left_out[1].file, "c.png");
  EXPECT_EQ(list->left_out[2].file, "deep/d.jfif");
}

TEST_F(LabelTableTest, WithoutAColumnOfLabelsThereAreNone) {
  const auto list = List("file_name,text\na.png,a cat\n");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(list->labels, IsEmpty());
}

TEST_F(LabelTableTest, Utf16IsNamed) {
  const std::string text = "file,label\na.png,0\n";
  std::string wide;
  for (const char c : text) wide += {c, '\0'};
  for (const std::string& utf16 : {wide, "\xff\xfe" + wide}) {
    ExpectRefused(List(utf16), absl::StatusCode::kInvalidArgument, {"labels.csv", "is UTF-16"});
  }
}

TEST_F(LabelTableTest, WrongTablesAreRefusedWithFileAndLine) {
  struct Case {
    const char* text;
    const char* expected;
  };
  const Case cases[] = {
      {"", "no rows"},
      {"file,label\n", "no rows"},
      {"image,label\na.png,0\n",
       "line 1: there is no column named file_name or file among 'image,label'"},
      {"file,label,label\na.png,0,1\n", "line 1: two columns are named label"},
      {"file,label\na.png,0\nnowhere.png,1\n", "line 3: there is no file"},
      {"file,label\n,0\n", "line 2: there is no file"},
      {"file,label\na.png,0\na.png,0\n", "line 3: file 'a.png' comes a second time"},
      {"file,label\na.png,-1\n", "line 2: label is '-1'"},
      {"file,label\na.png,0\nb.png,cat\n", "line 3: label is 'cat'"},
      {"file,label\na.png,\n", "line 2: there is no label, expected a class's name"},
      {"file,label\na.png,0\nb.png,\n", "line 3: label is '', expected a number from 0"},
      {"file,label\na.png,99999999999\n", "line 2: label is"},
      {"file,label,class\na.png,0,x\nb.png,0,y\n", "line 3: label 0 is called 'y'"},
      {"file,label\na.png\n", "line 2: 1 fields, expected 2"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    ExpectRefused(List(c.text), absl::StatusCode::kInvalidArgument, {"labels.csv", c.expected});
  }
  ExpectRefused(List("file,label\nnowhere.png,1\n"), absl::StatusCode::kInvalidArgument,
                {"'nowhere.png' in " + root().string()});
  ExpectRefused(ListLabelTable(root(), root() / "none.csv"), absl::StatusCode::kNotFound,
                {"none.csv"});
}

}  // namespace
}  // namespace diffusiond
