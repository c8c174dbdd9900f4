// Where a fuzz target that needs files has them.
#ifndef DIFFUSIOND_TESTS_FUZZ_SCRATCH_FOLDER_H_
#define DIFFUSIOND_TESTS_FUZZ_SCRATCH_FOLDER_H_

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace diffusiond {

// A folder of this process's own, which goes with it.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "fuzz.XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }

  const std::filesystem::path& path() const { return path_; }

  void Write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

 private:
  std::filesystem::path path_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_FUZZ_SCRATCH_FOLDER_H_
