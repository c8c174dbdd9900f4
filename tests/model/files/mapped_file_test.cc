#include "model/files/mapped_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/model/checkpoint/scratch_directory.h"

namespace diffusiond {
namespace {

// Whether the page lies in this process's memory (proc(5), pagemap); nullopt: it can't be told.
std::optional<bool> IsPresent(const void* address) {
  const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  const auto page =
      reinterpret_cast<uintptr_t>(address) / static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  uint64_t entry = 0;
  const bool read = pread(fd, &entry, sizeof(entry), static_cast<off_t>(page * sizeof(entry))) ==
                    static_cast<ssize_t>(sizeof(entry));
  close(fd);
  if (!read) return std::nullopt;
  return (entry >> 63) != 0;
}

class MappedFileTest : public testing::Test {
 protected:
  MappedFileTest() {
    for (size_t i = 0; i < 1 << 20; ++i) text_ += static_cast<char>('a' + i % 23);
    std::ofstream(directory_ / "file") << text_;
  }

  const ScratchDirectory directory_;
  std::string text_;
};

TEST_F(MappedFileTest, ForgetsPagesAndReadsThemAgain) {
  const absl::StatusOr<MappedFile> file = MappedFile::Open(directory_ / "file");
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->text(), text_);
  const auto bytes = file->bytes();
  const std::byte* const middle = bytes.data() + bytes.size() / 2;
  EXPECT_TRUE(IsPresent(middle).value_or(true));
  file->Forget(bytes.subspan(100, bytes.size() - 200));
  EXPECT_FALSE(IsPresent(middle).value_or(false));
  EXPECT_EQ(file->text(), text_);
}

TEST_F(MappedFileTest, ForgetsNothingThatIsNotItsOwn) {
  const absl::StatusOr<MappedFile> file = MappedFile::Open(directory_ / "file");
  ASSERT_TRUE(file.ok()) << file.status();
  const std::vector<std::byte> other(1 << 20, std::byte{7});
  file->Forget(other);
  file->Forget({});
  for (const std::byte byte : other) ASSERT_EQ(byte, std::byte{7});
  std::ofstream(directory_ / "empty");
  const absl::StatusOr<MappedFile> empty = MappedFile::Open(directory_ / "empty");
  ASSERT_TRUE(empty.ok()) << empty.status();
  empty->Forget(other);
  empty->Forget(empty->bytes());
  for (const std::byte byte : other) ASSERT_EQ(byte, std::byte{7});
}

}  // namespace
}  // namespace diffusiond
