#include "model/training/progress/tensorboard_log.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "model/imaging/png.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

// RFC 3720, B.4, and the check value of the CRC catalogues.
TEST(Crc32cTest, PublishedValues) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62A8AB43u);
  EXPECT_EQ(Crc32c(""), 0u);
}

template <typename T>
T LittleEndian(const std::string& bytes, size_t at) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<T>(static_cast<uint8_t>(bytes.at(at + i))) << (8 * i);
  }
  return value;
}

uint32_t Unmasked(uint32_t masked) { return std::rotl(masked - 0xA282EAD8u, 15); }

// The records' data; checks the framing.
std::vector<std::string> Records(const std::string& file) {
  std::vector<std::string> records;
  for (size_t at = 0; at < file.size();) {
    const uint64_t size = LittleEndian<uint64_t>(file, at);
    EXPECT_EQ(Unmasked(LittleEndian<uint32_t>(file, at + 8)), Crc32c(file.substr(at, 8)));
    records.push_back(file.substr(at + 12, size));
    EXPECT_EQ(Unmasked(LittleEndian<uint32_t>(file, at + 12 + size)), Crc32c(records.back()));
    at += 16 + size;
  }
  return records;
}

uint64_t Varint(const std::string& bytes, size_t* at) {
  uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const uint8_t byte = static_cast<uint8_t>(bytes.at((*at)++));
    value |= uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) return value;
  }
}

// A protobuf message's fields in any form, numbers as their little-endian bytes.
std::multimap<int, std::string> Fields(const std::string& message) {
  std::multimap<int, std::string> fields;
  for (size_t at = 0; at < message.size();) {
    const uint64_t tag = Varint(message, &at);
    size_t size = 0;
    std::string value;
    switch (tag & 7) {
      case 0:
        value = std::to_string(Varint(message, &at));
        break;
      case 1:
        size = 8;
        break;
      case 2:
        size = Varint(message, &at);
        break;
      case 5:
        size = 4;
        break;
      default:
        ADD_FAILURE() << "wire type " << (tag & 7);
    }
    if ((tag & 7) != 0) value = message.substr(at, size);
    at += size;
    fields.emplace(static_cast<int>(tag >> 3), value);
  }
  return fields;
}

std::string One(const std::multimap<int, std::string>& fields, int number) {
  EXPECT_EQ(fields.count(number), 1u) << number;
  return fields.count(number) == 0 ? "" : fields.find(number)->second;
}

class TensorBoardLogTest : public testing::Test {
 protected:
  void SetUp() override { fs::remove_all(directory_); }
  void TearDown() override { fs::remove_all(directory_); }

  std::vector<std::string> Written() {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(directory_)) paths.push_back(entry.path());
    EXPECT_EQ(paths.size(), 1u);
    EXPECT_NE(paths[0].string().find("events.out.tfevents."), std::string::npos);
    std::ifstream file(paths[0], std::ios::binary);
    return Records(std::string(std::istreambuf_iterator<char>(file), {}));
  }

  const fs::path directory_ = fs::path(testing::TempDir()) / "tensorboard_log_test";
};

TEST_F(TensorBoardLogTest, ScalarsWithTheirStepAndTime) {
  const absl::Time now = absl::FromUnixMillis(1600000000500);
  auto log = TensorBoardLog::Open(directory_, 7, now);
  ASSERT_TRUE(log.ok()) << log.status();
  ProgressPoint point;
  point.step = 300;
  point.loss = 0.25;
  point.held_out_loss = 0.5;
  point.loss_by_level[3] = 2;
  point.gradient_norm = 1.5;
  point.time = now;
  (*log)->OnPoint(point);

  const std::vector<std::string> records = Written();
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(One(Fields(records[0]), 3), "brain.Event:2");
  const auto start = Fields(records[1]);
  EXPECT_EQ(One(start, 2), "8");
  EXPECT_EQ(One(Fields(One(start, 7)), 1), "1");  // SessionLog.START
  const auto event = Fields(records[2]);
  EXPECT_EQ(std::bit_cast<double>(LittleEndian<uint64_t>(One(event, 1), 0)), 1600000000.5);
  EXPECT_EQ(One(event, 2), "300");
  std::map<std::string, float> scalars;
  for (const auto& [number, value] : Fields(One(event, 5))) {
    ASSERT_EQ(number, 1);
    const auto entry = Fields(value);
    scalars[One(entry, 1)] = std::bit_cast<float>(LittleEndian<uint32_t>(One(entry, 2), 0));
  }
  EXPECT_EQ(scalars, (std::map<std::string, float>{{"loss/train", 0.25f},
                                                   {"loss/ema_held_out", 0.5f},
                                                   {"loss_by_level/3", 2.0f},
                                                   {"gradient_norm", 1.5f},
                                                   {"learning_rate", 0.0f},
                                                   {"images_per_second", 0.0f},
                                                   {"waiting_share", 0.0f},
                                                   {"skipped_steps", 0.0f}}));
}

TEST_F(TensorBoardLogTest, SheetsArePngs) {
  auto log = TensorBoardLog::Open(directory_, 0, absl::FromUnixSeconds(5));
  ASSERT_TRUE(log.ok()) << log.status();
  const Image sheet = {
      .width = 3, .height = 2, .channels = 1, .pixels = {0, 50, 100, 150, 200, 250}};
  (*log)->OnSamples(42, sheet);
  const std::vector<std::string> records = Written();
  const auto event = Fields(records.back());
  EXPECT_EQ(One(event, 2), "42");
  const auto entry = Fields(One(Fields(One(event, 5)), 1));
  EXPECT_EQ(One(entry, 1), "samples");
  const auto image = Fields(One(entry, 4));
  EXPECT_EQ(One(image, 1), "2");
  EXPECT_EQ(One(image, 2), "3");
  EXPECT_EQ(One(image, 3), "1");
  const auto decoded = DecodePng(One(image, 4));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->pixels, sheet.pixels);
}

}  // namespace
}  // namespace diffusiond
