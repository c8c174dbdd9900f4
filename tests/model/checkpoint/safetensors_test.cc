#include "model/checkpoint/safetensors.h"

#include <cstring>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/safetensors_header.h"
#include "tests/model/checkpoint/golden_directory.h"
#include "tests/model/checkpoint/scratch_directory.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string Length(uint64_t value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::string File(const std::string& header, const std::string& data) {
  return Length(header.size()) + header + data;
}

const std::string kTwoTensors =
    R"({"a":{"dtype":"U8","shape":[2,1],"data_offsets":[0,2]},)"
    R"("b":{"dtype":"I16","shape":[],"data_offsets":[2,4]},"__metadata__":{"format":"pt"}} )";

TEST(SafetensorsTest, ReadsTensorsAsViewsIntoTheFile) {
  const std::string file = File(kTwoTensors, "\1\2\3\0" + std::string());
  const std::string padded = File(kTwoTensors, std::string("\1\2\3\0", 4));
  ASSERT_FALSE(ParseSafetensors(Bytes(file)).ok());  // One byte short.
  const absl::StatusOr<SafetensorsContents> contents = ParseSafetensors(Bytes(padded));
  ASSERT_TRUE(contents.ok()) << contents.status();
  ASSERT_EQ(contents->tensors.size(), 2u);
  const TensorView& a = contents->tensors.at("a");
  EXPECT_EQ(a.dtype, Dtype::kU8);
  EXPECT_EQ(a.shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(a.data.data(), Bytes(padded).data() + padded.size() - 4);
  EXPECT_EQ(a.data.size(), 2u);
  EXPECT_TRUE(contents->tensors.at("b").shape.empty());
  EXPECT_EQ(contents->metadata, (std::map<std::string, std::string>{{"format", "pt"}}));
}

struct Damage {
  const char* name;
  std::string file;
  const char* message;
};

std::string OneTensor(const std::string& entry, size_t data_bytes = 4) {
  return File(R"({"w":)" + entry + "}", std::string(data_bytes, 'x'));
}

std::vector<Damage> Damages() {
  return {
      {"Empty", "", "0 bytes, expected at least 8"},
      {"ShorterThanTheLength", "1234567", "7 bytes, expected at least 8"},
      {"HeaderPastTheEnd", Length(100) + "{}", "claims 100 bytes, the file has 2"},
      {"HeaderLengthOverflows", Length(~uint64_t{0}) + "{}", "the file has 2"},
      {"HeaderOverTheLimit", File("{}" + std::string(kMaxSafetensorsHeaderBytes, ' '), ""),
       "at most 16777216"},
      {"HeaderOfZeroBytes", Length(0), "does not start with '{'"},
      {"NotJson", File("{\"w\": nonsense}", ""), "not JSON at byte"},
      {"JsonCutShort", File("{\"w\":", ""), "not JSON at byte"},
      {"TextAfterTheJson", File("{}x", ""), "not JSON at byte"},
      {"NotUtf8", File("{\"\xff\":1}", ""), "not JSON at byte"},
      {"DeepNesting", File("{\"w\":" + std::string(100000, '['), ""), "expected an object"},
      {"HeaderIsAList", File("[]", ""), "does not start with '{'"},
      {"EntryIsANumber", OneTensor("7"), "'w': expected an object, found the number 7"},
      {"EntryWithoutDtype", OneTensor(R"({"shape":[1],"data_offsets":[0,4]})"),
       "'w': dtype is missing"},
      {"EntryWithoutShape", OneTensor(R"({"dtype":"F32","data_offsets":[0,4]})"),
       "'w': shape is missing"},
      {"EntryWithoutOffsets", OneTensor(R"({"dtype":"F32","shape":[1]})"),
       "'w': data_offsets: expected 2 numbers, found 0"},
      {"UnknownField", OneTensor(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1})"),
       "'w': unknown field 'x'"},
      {"UnknownDtype", OneTensor(R"({"dtype":"F8","shape":[1],"data_offsets":[0,4]})"),
       "'w': dtype is 'F8', allowed: F64, F32"},
      {"DtypeIsANumber", OneTensor(R"({"dtype":3,"shape":[1],"data_offsets":[0,4]})"),
       "'w': dtype: expected a string, found the number 3"},
      {"ShapeIsAString", OneTensor(R"({"dtype":"F32","shape":"1","data_offsets":[0,4]})"),
       "'w': shape: expected an array"},
      {"NegativeDimension", OneTensor(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})"),
       "'w': shape: expected integers of 0 or more, found the negative number -1"},
      {"FractionalDimension", OneTensor(R"({"dtype":"F32","shape":[1.5],"data_offsets":[0,4]})"),
       "found the number 1.5"},
      {"NestedShape", OneTensor(R"({"dtype":"F32","shape":[[1]],"data_offsets":[0,4]})"),
       "found an array"},
      {"DimensionOver63Bits",
       OneTensor(R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]})"),
       "'w': shape: expected integers"},
      {"TooManyDimensions",
       OneTensor(
           R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]})"),
       "'w': shape: more than 16 numbers"},
      {"ThreeOffsets", OneTensor(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4,4]})"),
       "'w': data_offsets: more than 2 numbers"},
      {"ShapeOverflows",
       OneTensor(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]})"),
       "'w': shape [4294967296, 4294967296] is too large"},
      {"TenGigabytesClaimed",
       OneTensor(R"({"dtype":"F32","shape":[2500000000],"data_offsets":[0,10000000000]})"),
       "'w': data_offsets [0, 10000000000] leave the file, which holds 4 bytes"},
      {"ShapeLargerThanItsData",
       OneTensor(R"({"dtype":"F32","shape":[2500000000],"data_offsets":[0,4]})"),
       "takes 10000000000 bytes, found 4"},
      {"ShapeSmallerThanItsData", OneTensor(R"({"dtype":"F16","shape":[1],"data_offsets":[0,4]})"),
       "'w': F16 of shape [1] takes 2 bytes, found 4"},
      {"OffsetsOutsideTheFile", OneTensor(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})"),
       "'w': data_offsets [4, 8] leave the file"},
      {"BeginPastEnd", OneTensor(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})"),
       "'w': data_offsets [4, 0]: begin is past end"},
      {"Overlap",
       File(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
            R"("b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
            "xxxx"),
       "'b': its data overlaps that of 'a'"},
      {"SameBytesTwice",
       File(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
            R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
            "xxxx"),
       "overlaps"},
      {"Hole",
       File(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
            R"("b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
            "xxxx"),
       "'b': 1 bytes before its data belong to no tensor"},
      {"TrailingBytes", OneTensor(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})", 7),
       "3 bytes after the last tensor"},
      {"DuplicateName",
       File(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
            R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
            ""),
       "names 'a' twice"},
      {"DuplicateField", OneTensor(R"({"dtype":"F32","dtype":"F32","shape":[1]})"),
       "'dtype' is given twice"},
      {"MetadataIsNotAnObject", File(R"({"__metadata__":"pt"})", ""), "expected an object"},
      {"MetadataOfNumbers", File(R"({"__metadata__":{"format":1}})", ""),
       "__metadata__ 'format': expected a string"},
      {"MetadataTwice", File(R"({"__metadata__":{},"__metadata__":{}})", ""), "twice"},
  };
}

TEST(SafetensorsTest, RefusesDamageAndSaysWhatIsWrong) {
  for (const Damage& damage : Damages()) {
    const absl::StatusOr<SafetensorsContents> contents = ParseSafetensors(Bytes(damage.file));
    EXPECT_EQ(contents.status().code(), absl::StatusCode::kInvalidArgument) << damage.name;
    EXPECT_THAT(std::string(contents.status().message()), HasSubstr(damage.message)) << damage.name;
  }
}

TEST(SafetensorsTest, RefusesAGoldenFileCutAnywhere) {
  const std::string whole =
      ReadWholeFile(ShippedGoldenDirectory() / "scheduler/tables.safetensors");
  ASSERT_TRUE(ParseSafetensors(Bytes(whole)).ok());
  for (size_t size = 0; size < whole.size(); size += size < 6000 ? 1 : 997) {
    ASSERT_FALSE(ParseSafetensors(Bytes(whole).first(size)).ok()) << size;
  }
}

TEST(SafetensorsTest, MessagesStayShortAndPrintableWhateverTheFileHolds) {
  const std::string megabyte(1 << 20, 'n');
  const std::string headers[] = {
      "{\"" + megabyte + "\":1}",    // A long name.
      "{\"w\":\"" + megabyte,        // A long token where the JSON breaks off.
      "{\"\\u001b[2J\xc3\xa9\":1}",  // A terminal's escape code, and an accent.
      "{\"w\":\"\x1b[2J\"}",         // The same, raw.
      "{\"w\":{\"dtype\":\"" + megabyte + "\"}}",
  };
  for (const std::string& header : headers) {
    const absl::Status status = ParseSafetensors(Bytes(File(header, ""))).status();
    ASSERT_FALSE(status.ok());
    EXPECT_LT(status.message().size(), 600u);
    for (char c : status.message()) EXPECT_TRUE(c >= ' ' && c <= '~') << status.message();
  }
}

TEST(SafetensorsTest, WritesWhatItReads) {
  ScratchDirectory scratch;
  const std::vector<float> f32 = {1.5f, -2, 3};
  const std::vector<uint16_t> halves = {0x3C00, 0xC000};
  const std::vector<double> f64 = {3.14};
  const std::vector<int64_t> i64 = {-7, 7};
  const std::vector<uint8_t> u8 = {1, 2, 3};
  const auto bytes = [](const auto& values) { return std::as_bytes(std::span(values)); };
  const TensorMap tensors = {{"a_bytes", {Dtype::kU8, {3}, bytes(u8)}},
                             {"bf16", {Dtype::kBF16, {1, 2}, bytes(halves)}},
                             {"empty", {Dtype::kF32, {0, 4}, {}}},
                             {"f16", {Dtype::kF16, {2}, bytes(halves)}},
                             {"f32", {Dtype::kF32, {3, 1}, bytes(f32)}},
                             {"scalar", {Dtype::kF64, {}, bytes(f64)}},
                             {"z \"quoted\" \xc3\xa9", {Dtype::kI64, {2}, bytes(i64)}}};
  const auto path = scratch / "t.safetensors";
  ASSERT_TRUE(WriteSafetensors(path, tensors, {{"format", "pt"}, {"step", "12"}}).ok());

  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->metadata().at("step"), "12");
  ASSERT_EQ(file->tensors().size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const TensorView& read = file->tensors().at(name);
    EXPECT_EQ(read.dtype, tensor.dtype) << name;
    EXPECT_EQ(read.shape, tensor.shape) << name;
    ASSERT_EQ(read.data.size(), tensor.data.size()) << name;
    if (!tensor.data.empty()) {
      EXPECT_EQ(std::memcmp(read.data.data(), tensor.data.data(), read.data.size()), 0) << name;
      EXPECT_EQ(reinterpret_cast<uintptr_t>(read.data.data()) % ElementSize(read.dtype), 0u)
          << name << " is not aligned";
    }
  }
}

TEST(SafetensorsTest, WritesTheVeryBytesOfDiffusers) {
  ScratchDirectory scratch;
  int compared = 0;
  for (const auto& golden : GoldenCheckpoints(ShippedGoldenDirectory())) {
    const auto path = golden / "unet/diffusion_pytorch_model.safetensors";
    if (!std::filesystem::exists(path)) continue;
    const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Open(path);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(WriteSafetensors(scratch / "copy", file->tensors(), file->metadata()).ok());
    EXPECT_TRUE(ReadWholeFile(path) == ReadWholeFile(scratch / "copy")) << path;
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

TEST(SafetensorsTest, RefusesToWriteWhatCouldNotBeRead) {
  ScratchDirectory scratch;
  const std::string four = "1234";
  const std::pair<TensorMap, const char*> cases[] = {
      {{{"w", {Dtype::kF32, {2}, Bytes(four)}}}, "F32 of shape [2] does not take 4 bytes"},
      {{{"w", {Dtype::kF32, {-1}, Bytes(four)}}}, "shape [-1]"},
      {{{"__metadata__", {Dtype::kF32, {1}, Bytes(four)}}}, "taken by the format"},
      {{{"\xff", {Dtype::kF32, {1}, Bytes(four)}}}, "not UTF-8"},
  };
  for (const auto& [tensors, message] : cases) {
    const absl::Status status = WriteSafetensors(scratch / "t", tensors);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(SafetensorsTest, ReplacingAFileKeepsOpenViewsWhole) {
  ScratchDirectory scratch;
  const auto path = scratch / "t.safetensors";
  const std::string one = "1111", two = "2222";
  ASSERT_TRUE(WriteSafetensors(path, {{"w", {Dtype::kF32, {1}, Bytes(one)}}}).ok());
  const absl::StatusOr<SafetensorsFile> old = SafetensorsFile::Open(path);
  ASSERT_TRUE(WriteSafetensors(path, {{"w", {Dtype::kF32, {1}, Bytes(two)}}}).ok());
  EXPECT_EQ(old->tensors().at("w").data[0], std::byte{'1'});
  EXPECT_EQ(SafetensorsFile::Open(path)->tensors().at("w").data[0], std::byte{'2'});
}

TEST(SafetensorsTest, ErrorsNameTheFile) {
  ScratchDirectory scratch;
  WriteWholeFile(scratch / "bad.safetensors", "short");
  for (const char* name : {"bad.safetensors", "absent.safetensors", "."}) {
    const absl::Status status = SafetensorsFile::Open(scratch / name).status();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(std::string(status.message()), HasSubstr((scratch / name).string()));
  }
  EXPECT_EQ(SafetensorsFile::Open(scratch / "absent").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(SafetensorsFile::Open(scratch.path()).status().message()),
              HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace diffusiond
