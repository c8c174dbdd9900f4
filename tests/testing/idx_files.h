// Small data sets in the idx format, made up.
#ifndef DIFFUSIOND_TESTS_TESTING_IDX_FILES_H_
#define DIFFUSIOND_TESTS_TESTING_IDX_FILES_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace diffusiond {

// Bytes that go round below `modulus`, as many as the sizes say.
inline void WriteIdxFile(const std::filesystem::path& path, const std::vector<uint32_t>& sizes,
                         uint32_t modulus) {
  std::string text = {0, 0, 8, static_cast<char>(sizes.size())};
  uint32_t count = 1;
  for (const uint32_t size : sizes) {
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(size >> shift);
    count *= size;
  }
  for (uint32_t i = 0; i < count; ++i) text += static_cast<char>(i * 37 % modulus);
  std::ofstream(path, std::ios::binary) << text;
}

struct IdxSplit {
  uint32_t images = 0;
  uint32_t side = 0;
  uint32_t classes = 1;
};

// `split` is "train" or "t10k".
inline void WriteIdxSplit(const std::filesystem::path& directory, const std::string& split,
                          const IdxSplit& shape) {
  WriteIdxFile(directory / (split + "-images-idx3-ubyte"), {shape.images, shape.side, shape.side},
               split == "train" ? 251 : 241);
  WriteIdxFile(directory / (split + "-labels-idx1-ubyte"), {shape.images}, shape.classes);
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_IDX_FILES_H_
