// Small data sets on disk, made by the tests that read them.
#ifndef DIFFUSIOND_TESTS_MODEL_TRAINING_DATA_DATA_FIXTURE_H_
#define DIFFUSIOND_TESTS_MODEL_TRAINING_DATA_DATA_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "model/imaging/image.h"
#include "model/imaging/png.h"

namespace diffusiond {

// A folder of the test's own that goes with it.
class DataFixture : public ::testing::Test {
 protected:
  DataFixture() {
    std::string name = (std::filesystem::temp_directory_path() / "data_test.XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "cannot make " << name;
    root_ = name;
  }
  ~DataFixture() override { std::filesystem::remove_all(root_); }

  const std::filesystem::path& root() const { return root_; }

  // Writes `bytes` to `name` under the root, making folders on the way. Returns the whole path.
  std::filesystem::path Write(const std::string& name, std::string_view bytes) {
    const std::filesystem::path path = root_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary).write(bytes.data(), bytes.size());
    return path;
  }

 private:
  std::filesystem::path root_;
};

inline std::string BigEndian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift));
  return bytes;
}

// `count` grey images; byte k of all is k % 251.
inline std::string IdxImages(uint32_t count, uint32_t rows, uint32_t columns) {
  std::string bytes = BigEndian(0x803) + BigEndian(count) + BigEndian(rows) + BigEndian(columns);
  for (uint32_t i = 0; i < count * rows * columns; ++i) bytes.push_back(static_cast<char>(i % 251));
  return bytes;
}

inline std::string IdxLabels(const std::vector<int>& labels) {
  std::string bytes = BigEndian(0x801) + BigEndian(static_cast<uint32_t>(labels.size()));
  for (const int label : labels) bytes.push_back(static_cast<char>(label));
  return bytes;
}

inline std::string Gzip(std::string_view bytes) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// One CIFAR-10 record whose planes are filled with `red`, `green` and `blue`.
inline std::string CifarRecord(int label, int red, int green, int blue) {
  return std::string(1, static_cast<char>(label)) + std::string(1024, static_cast<char>(red)) +
         std::string(1024, static_cast<char>(green)) + std::string(1024, static_cast<char>(blue));
}

inline std::string FlatPng(int width, int height, const std::vector<uint8_t>& pixel) {
  Image image{
      .width = width, .height = height, .channels = static_cast<int>(pixel.size()), .pixels = {}};
  const size_t size = size_t(width) * height * pixel.size();
  for (size_t i = 0; i < size; ++i) image.pixels.push_back(pixel[i % pixel.size()]);
  return *EncodePng(image);
}

// The status is of `code` and its message holds every one of `parts`.
template <typename StatusOrT>
void ExpectRefused(const StatusOrT& result, absl::StatusCode code,
                   const std::vector<std::string>& parts) {
  EXPECT_EQ(result.status().code(), code) << result.status();
  for (const std::string& part : parts) {
    EXPECT_THAT(std::string(result.status().message()), ::testing::HasSubstr(part));
  }
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_MODEL_TRAINING_DATA_DATA_FIXTURE_H_
