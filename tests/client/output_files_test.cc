#include "client/output_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

v1::ResolvedParameters Parameters(uint32_t count) {
  v1::ResolvedParameters parameters;
  parameters.set_model("fashion-mnist");
  parameters.set_count(count);
  parameters.set_seed(42);
  parameters.set_class_id(0);
  parameters.set_class_name("T-shirt/top");
  parameters.set_format(v1::IMAGE_FORMAT_WEBP);
  return parameters;
}

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A directory of this test's own.
std::string TestDirectory() {
  const fs::path path = fs::path(testing::TempDir()) /
                        (std::string("output_files_") +
                         testing::UnitTest::GetInstance()->current_test_info()->name());
  fs::remove_all(path);
  fs::create_directories(path);
  return path.string();
}

TEST(OutputFilesTest, NamesFilesAfterWhatWasDrawn) {
  const OutputFiles files("", Parameters(4));
  EXPECT_EQ(files.ImagePath(3), "fashion-mnist-t-shirt-top-42-3.webp");
  EXPECT_EQ(files.ReceiptPath(), "fashion-mnist-t-shirt-top-42.json");
}

TEST(OutputFilesTest, PadsIndicesSoThatNamesSort) {
  const OutputFiles files("out", Parameters(101));
  EXPECT_EQ(files.ImagePath(7), "out/fashion-mnist-t-shirt-top-42-007.webp");
}

TEST(OutputFilesTest, NamesTheClassByItsIdWhereItHasNoName) {
  v1::ResolvedParameters parameters = Parameters(1);
  parameters.clear_class_name();
  EXPECT_EQ(OutputFiles("", parameters).ReceiptPath(), "fashion-mnist-class0-42.json");
  parameters.clear_class_id();
  EXPECT_EQ(OutputFiles("", parameters).ReceiptPath(), "fashion-mnist-42.json");
}

TEST(OutputFilesTest, LeavesTheDirectoryUnderNoName) {
  v1::ResolvedParameters parameters = Parameters(1);
  parameters.set_model("../../etc/passwd");
  EXPECT_EQ(OutputFiles("out", parameters).ReceiptPath().find('/'), 3u);
  EXPECT_EQ(OutputFiles("out", parameters).ReceiptPath().rfind('/'), 3u);
}

TEST(OutputFilesTest, TakesAFileNameAsItIsForOneImage) {
  EXPECT_EQ(OutputFiles("a/shoe.webp", Parameters(1)).ImagePath(0), "a/shoe.webp");
  EXPECT_EQ(OutputFiles("a/shoe.webp", Parameters(2)).ImagePath(1), "a/shoe-1.webp");
  EXPECT_EQ(OutputFiles("a/shoe.webp", Parameters(1)).ReceiptPath(), "a/shoe.json");
}

TEST(OutputFilesTest, TellsFilesFromDirectories) {
  v1::ImageFormat format = v1::IMAGE_FORMAT_UNSPECIFIED;
  EXPECT_TRUE(NamesImageFile("x.JPG", &format));
  EXPECT_EQ(format, v1::IMAGE_FORMAT_JPEG);
  EXPECT_FALSE(NamesImageFile("", &format));
  EXPECT_FALSE(NamesImageFile("v1.2", &format));
  EXPECT_FALSE(NamesImageFile("sheets", &format));
  const std::string directory = TestDirectory() + "/odd.png";
  fs::create_directories(directory);
  EXPECT_FALSE(NamesImageFile(directory, &format));
}

TEST(SaveFileTest, MakesDirectoriesAndLeavesNothingElseBehind) {
  const std::string directory = TestDirectory();
  const std::string path = directory + "/a/b.png";
  ASSERT_TRUE(SaveFile(path, "old").ok());
  ASSERT_TRUE(SaveFile(path, std::string("n\0w", 3)).ok());
  EXPECT_EQ(Contents(path), std::string("n\0w", 3));
  EXPECT_EQ(std::distance(fs::directory_iterator(directory + "/a"), fs::directory_iterator()), 1);
}

TEST(SaveFileTest, TakesNoPipesAndNoLinksPlace) {
  const std::string directory = TestDirectory();
  ASSERT_TRUE(SaveFile(directory + "/file", "old").ok());
  const std::string link = directory + "/link";
  fs::create_symlink("file", link);
  ASSERT_TRUE(SaveFile(link, "new").ok());
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(Contents(directory + "/file"), "new");

  const std::string pipe = directory + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_TRUE(SaveFile(pipe, "through").ok());
  char bytes[16];
  EXPECT_EQ(read(reader, bytes, sizeof(bytes)), 7);
  close(reader);
  EXPECT_TRUE(fs::is_fifo(pipe));

  const std::string log = directory + "/log";
  ASSERT_TRUE(SaveFile(log, "kept;").ok());
  const int kept = dup(STDOUT_FILENO);
  const int appended = open(log.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  std::fflush(stdout);
  ASSERT_EQ(dup2(appended, STDOUT_FILENO), STDOUT_FILENO);
  const absl::Status saved = SaveFile("/dev/stdout", "added");
  dup2(kept, STDOUT_FILENO);
  close(kept);
  close(appended);
  EXPECT_TRUE(saved.ok()) << saved;
  EXPECT_EQ(Contents(log), "kept;added");
}

TEST(SaveFileTest, PlacesAreTriedBeforehandAndLeftAsTheyWere) {
  const std::string directory = TestDirectory();
  EXPECT_TRUE(CheckFolder(directory + "/a/b").ok());
  EXPECT_TRUE(CheckFile(directory + "/a/c/image.png").ok());
  EXPECT_TRUE(fs::is_empty(directory + "/a/b"));
  EXPECT_TRUE(fs::is_empty(directory + "/a/c"));
  ASSERT_TRUE(SaveFile(directory + "/old", "kept").ok());
  EXPECT_TRUE(CheckFile(directory + "/old").ok());
  EXPECT_EQ(Contents(directory + "/old"), "kept");
  EXPECT_EQ(CheckFolder(directory + "/old").message(),
            "cannot make the directory " + directory + "/old: Not a directory");
  EXPECT_EQ(CheckFile(directory + "/a").message(),
            "cannot write " + directory + "/a: Is a directory");
  // Not even a reader has to be there.
  ASSERT_EQ(mkfifo((directory + "/pipe").c_str(), 0600), 0);
  EXPECT_TRUE(CheckFile(directory + "/pipe").ok());
}

TEST(SaveFileTest, NamesTheFileThatCannotBeWritten) {
  const std::string directory = TestDirectory();
  ASSERT_TRUE(SaveFile(directory + "/file", "x").ok());
  const absl::Status below_a_file = SaveFile(directory + "/file/image.png", "x");
  EXPECT_THAT(std::string(below_a_file.message()),
              testing::EndsWith(directory + "/file: Not a directory"));
  EXPECT_NE(below_a_file.code(), absl::StatusCode::kPermissionDenied);
  const std::string long_name = directory + "/" + std::string(300, 'a');
  EXPECT_EQ(SaveFile(long_name, "x").message(),
            "cannot create " + long_name + ": File name too long");
  // A directory stands where the file should: the renaming fails, and cleans up.
  fs::create_directories(directory + "/taken/full");
  EXPECT_FALSE(SaveFile(directory + "/taken", "x").ok());
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), fs::directory_iterator()), 2);
}

}  // namespace
}  // namespace diffusiond
