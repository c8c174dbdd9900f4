// A directory of a test's own, removed with everything in it.
#ifndef DIFFUSIOND_TESTS_MODEL_CHECKPOINT_SCRATCH_DIRECTORY_H_
#define DIFFUSIOND_TESTS_MODEL_CHECKPOINT_SCRATCH_DIRECTORY_H_

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "gtest/gtest.h"

namespace diffusiond {

class ScratchDirectory {
 public:
  // Under `parent`, which ends with a slash.
  explicit ScratchDirectory(const std::string& parent = ::testing::TempDir()) {
    std::string name = parent + "diffusiond-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// Where fsync costs nothing, for tests that write thousands of times; else the usual place.
inline std::string MemoryTempDir() {
  return access("/dev/shm/", W_OK) == 0 ? "/dev/shm/" : ::testing::TempDir();
}

inline std::string ReadWholeFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void WriteWholeFile(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  ASSERT_TRUE(file.good()) << path;
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_MODEL_CHECKPOINT_SCRATCH_DIRECTORY_H_
