#include "model/training/data/cifar10.h"

#include <algorithm>

#include "tests/model/training/data/data_fixture.h"

namespace diffusiond {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

class Cifar10Test : public DataFixture {};

TEST_F(Cifar10Test, ReadsRecordsOfAllFilesInOrder) {
  const std::filesystem::path files[] = {
      Write("a.bin", CifarRecord(3, 10, 20, 30) + CifarRecord(9, 11, 21, 31)),
      Write("b.bin", CifarRecord(0, 12, 22, 255))};
  const auto dataset = ReadCifar10(files);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->size(), 3);
  EXPECT_EQ(dataset->channels, 3);
  EXPECT_EQ(dataset->height, 32);
  EXPECT_EQ(dataset->width, 32);
  EXPECT_THAT(dataset->labels, ElementsAre(3, 9, 0));
  EXPECT_THAT(dataset->image(1).subspan(0, 1024), Each(11));
  EXPECT_THAT(dataset->image(1).subspan(1024, 1024), Each(21));
  EXPECT_THAT(dataset->image(2).subspan(2048, 1024), Each(255));
}

TEST_F(Cifar10Test, WrongFilesAreRefusedByName) {
  const std::string record = CifarRecord(1, 0, 0, 0);
  const auto good = Write("good.bin", record);
  struct Case {
    std::string bytes;
    const char* expected;
  };
  const Case cases[] = {{"", "0 bytes"},
                        {record.substr(1), "3072 bytes"},
                        {record + record + "x", "6147 bytes, expected a multiple of 3073"},
                        {record + CifarRecord(10, 0, 0, 0), "record 1 is 10"},
                        {CifarRecord(255, 0, 0, 0), "record 0 is 255"}};
  for (const Case& c : cases) {
    const std::filesystem::path files[] = {good, Write("wrong.bin", c.bytes)};
    ExpectRefused(ReadCifar10(files), absl::StatusCode::kInvalidArgument,
                  {"wrong.bin", c.expected});
  }
  const std::filesystem::path missing[] = {good, root() / "nowhere.bin"};
  ExpectRefused(ReadCifar10(missing), absl::StatusCode::kNotFound, {"nowhere.bin"});
}

TEST_F(Cifar10Test, MemoryLimitCountsAllFiles) {
  const auto file = Write("a.bin", CifarRecord(1, 0, 0, 0));
  const std::filesystem::path twice[] = {file, file};
  EXPECT_TRUE(ReadCifar10(twice, 2 * 3072).ok());
  ExpectRefused(ReadCifar10(twice, 2 * 3072 - 1), absl::StatusCode::kResourceExhausted, {"a.bin"});
}

TEST_F(Cifar10Test, ClassNamesAreTheTenLines) {
  std::string text;
  for (const std::string& name : Cifar10ClassNames()) text += name + "\r\n";
  const auto names = ReadCifar10ClassNames(Write("batches.meta.txt", text + "\n"));
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_EQ(*names, Cifar10ClassNames());
  ExpectRefused(ReadCifar10ClassNames(Write("batches.meta.txt", "one\ntwo\n")),
                absl::StatusCode::kInvalidArgument, {"batches.meta.txt", "2 class names"});
}

}  // namespace
}  // namespace diffusiond
