#include "model/checkpoint/torch_pickle.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/pickle_machine.h"
#include "tests/model/checkpoint/golden_directory.h"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/model/checkpoint/torch_archive_writer.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

const std::string kData = "0123456789abcdef01234567";  // 24 bytes, six floats.

std::string FloatStorage() { return pickle::Storage("FloatStorage", "0", 6); }

std::string OneTensor() {
  return pickle::Dict(pickle::Text("w") + pickle::Tensor(FloatStorage(), 0, {2, 3}, {3, 1}));
}

TEST(TorchPickleTest, ReadsTensorsAsViewsIntoTheFile) {
  const std::string file = TorchArchive(
      pickle::Dict(pickle::Text("w") + pickle::Tensor(FloatStorage(), 0, {2, 3}, {3, 1}) +
                   pickle::Text("tail") + pickle::Tensor(FloatStorage(), 4, {1, 2}, {77, 1}) +
                   pickle::Text("scalar") + pickle::Tensor(FloatStorage(), 5, {}, {}) +
                   pickle::Text("none") + pickle::Tensor(FloatStorage(), 6, {0, 3}, {1, 1})),
      kData);
  const absl::StatusOr<TensorMap> tensors = ParseTorchArchive(Bytes(file));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 4u);
  const auto text = [&](const char* name) {
    const TensorView& tensor = tensors->at(name);
    EXPECT_EQ(tensor.dtype, Dtype::kF32);
    EXPECT_TRUE(tensor.data.empty() || (tensor.data.data() >= Bytes(file).data() &&
                                        tensor.data.data() < Bytes(file).data() + file.size()));
    return std::string(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
  };
  EXPECT_EQ(text("w"), kData);
  EXPECT_EQ(text("tail"), "01234567");
  EXPECT_EQ(text("scalar"), "4567");
  EXPECT_EQ(text("none"), "");
  EXPECT_EQ(tensors->at("w").shape, (std::vector<int64_t>{2, 3}));
}

TEST(TorchPickleTest, ReadsEveryStorageType) {
  const std::pair<const char*, Dtype> types[] = {
      {"DoubleStorage", Dtype::kF64}, {"FloatStorage", Dtype::kF32},
      {"HalfStorage", Dtype::kF16},   {"BFloat16Storage", Dtype::kBF16},
      {"LongStorage", Dtype::kI64},   {"IntStorage", Dtype::kI32},
      {"ShortStorage", Dtype::kI16},  {"CharStorage", Dtype::kI8},
      {"ByteStorage", Dtype::kU8},    {"BoolStorage", Dtype::kBool}};
  for (const auto& [type, dtype] : types) {
    const int elements = static_cast<int>(24 / ElementSize(dtype));
    const std::string file = TorchArchive(
        pickle::Dict(pickle::Text("w") +
                     pickle::Tensor(pickle::Storage(type, "0", elements), 0, {elements}, {1})),
        kData);
    const absl::StatusOr<TensorMap> tensors = ParseTorchArchive(Bytes(file));
    ASSERT_TRUE(tensors.ok()) << type << tensors.status();
    EXPECT_EQ(tensors->at("w").dtype, dtype) << type;
    EXPECT_EQ(tensors->at("w").data.size(), 24u) << type;
  }
}

TEST(TorchPickleTest, AcceptsAnArchiveWithACommentAndAttributesOnTheDictionary) {
  const std::string pickled = pickle::kBegin + pickle::kOrderedDict + "q\x05(" + pickle::Text("w") +
                              pickle::Tensor(FloatStorage(), 0, {6}, {1}) + "u}" +
                              pickle::Text("_metadata") + "h\x05s" + "b.";
  const std::string file =
      Zip({{"m/data.pkl", pickled}, {"m/data/0", kData}, {"m/byteorder", "little"}}, "PK\5\6 hi");
  const absl::StatusOr<TensorMap> tensors = ParseTorchArchive(Bytes(file));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_EQ(tensors->size(), 1u);
}

TEST(TorchPickleTest, ReadsOtherOrdersOfDimensionsAsRowMajor) {
  const std::string file = TorchArchive(
      pickle::Dict(pickle::Text("transposed") + pickle::Tensor(FloatStorage(), 0, {2, 3}, {1, 2}) +
                   pickle::Text("channels_last") +
                   pickle::Tensor(FloatStorage(), 2, {1, 2, 2, 1}, {4, 1, 2, 2})),
      kData);
  const absl::StatusOr<TensorMap> tensors = ParseTorchArchive(Bytes(file));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  const auto text = [&](const char* name) {
    const std::span<const std::byte> data = tensors->at(name).data;
    return std::string(reinterpret_cast<const char*>(data.data()), data.size());
  };
  EXPECT_EQ(text("transposed"),
            "012389ab"
            "0123"
            "4567"
            "cdef"
            "4567");
  EXPECT_EQ(text("channels_last"),
            "89ab"
            "0123"
            "cdef"
            "4567");
  EXPECT_EQ(tensors->at("channels_last").shape, (std::vector<int64_t>{1, 2, 2, 1}));
}

TEST(TorchPickleTest, ReadsParameters) {
  const std::string parameter = "ctorch._utils\n_rebuild_parameter\n" +
                                pickle::Tensor(FloatStorage(), 0, {6}, {1}) + "\x88" +
                                pickle::kOrderedDict + "\x87R";
  const std::string file = TorchArchive(pickle::Dict(pickle::Text("w") + parameter), kData);
  const absl::StatusOr<TensorMap> tensors = ParseTorchArchive(Bytes(file));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_EQ(tensors->at("w").data.size(), 24u);
}

// What Python's pickle.dumps(..., protocol=4) writes for one tensor of [6] under "w".
TEST(TorchPickleTest, ReadsProtocol4) {
  const auto name = [](const std::string& text) {
    return std::string("\x8c") + static_cast<char>(text.size()) + text + "\x94";
  };
  const std::string pickled =
      std::string("\x80\x04\x95") + std::string(8, '\0') + name("collections") +
      name("OrderedDict") + "\x93\x94)R\x94(" + name("w") + name("torch._utils") +
      name("_rebuild_tensor_v2") + "\x93\x94((" + name("storage") + name("torch") +
      name("FloatStorage") + "\x93\x94" + name("0") + name("cpu") + "\x8a\x01\x06t\x94Q" +
      std::string("K\0K\6\x85\x94K\1\x85\x94\x89h\2)Rt\x94R\x94u.", 21);
  const absl::StatusOr<TensorMap> tensors = ParseTorchArchive(Bytes(TorchArchive(pickled, kData)));
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_EQ(tensors->at("w").shape, std::vector<int64_t>{6});
  EXPECT_EQ(tensors->at("w").data.size(), 24u);
}

TEST(TorchPickleTest, CopiesNoMoreThanTiedWeightsNeed) {
  const auto archive = [](int tensors) {
    std::string items;
    for (int i = 0; i < tensors; ++i) {
      items +=
          pickle::Text("w" + std::to_string(i)) + pickle::Tensor(FloatStorage(), 0, {2, 3}, {1, 2});
    }
    return TorchArchive(pickle::Dict(items), kData);
  };
  EXPECT_TRUE(ParseTorchArchive(Bytes(archive(2))).ok());
  EXPECT_THAT(std::string(ParseTorchArchive(Bytes(archive(3))).status().message()),
              HasSubstr("others show the same bytes"));
}

struct Refusal {
  const char* name;
  std::string pickle;
  const char* message;
};

std::vector<Refusal> Refusals() {
  using pickle::Dict, pickle::Tensor, pickle::Text, pickle::kBegin, pickle::kStop;
  const auto tensor = [](const std::string& made) { return Dict(Text("w") + made); };
  return {
      {"ForeignImport", kBegin + "cos\nsystem\n(" + Text("rm -rf /") + "tR.",
       "it imports 'os.system', which is refused"},
      {"ImportByAlmostTheName", kBegin + "ctorch._utils\n_rebuild_qtensor\n.",
       "'torch._utils._rebuild_qtensor'"},
      {"ParameterOfNoTensor", kBegin + "ctorch._utils\n_rebuild_parameter\n" + "}\x89}\x87R.",
       "_rebuild_parameter is not given (tensor, grad, hooks)"},
      {"BuiltinImport", kBegin + "c__builtin__\neval\n.", "'__builtin__.eval'"},
      {"StorageFromElsewhere", kBegin + "cevil\nFloatStorage\n.", "'evil.FloatStorage'"},
      {"StackGlobal", kBegin + Text("os") + Text("system") + "\x93.",
       "it imports 'os.system', which is refused"},
      {"StackGlobalCalled",
       std::string("\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02ls\x94\x85R.", 29),
       "it imports 'posix.system', which is refused"},
      {"StackGlobalOfNumbers", kBegin + "K\1K\2\x93.", "an import is not named by two strings"},
      {"StackGlobalOfNothing", kBegin + Text("os") + "\x93.", "the stack is empty"},
      {"LongLong", kBegin + "\x8a\x09" + std::string(9, 'x') + ".", "an integer of 9 bytes"},
      {"CutInALong", kBegin + "\x8a\x09x", "truncated"},
      {"CutInAFrame", kBegin + "\x95xx", "truncated"},
      {"MemoizeNothing", kBegin + "\x94.", "the stack is empty"},
      {"LongStringPastTheEnd", kBegin + "\x8d" + std::string(8, '\xff') + "abc.",
       "a string claims 18446744073709551615 bytes"},
      {"Inst", kBegin + "(ios\nsystem\n.", "opcode 0x69 is refused"},
      {"Obj", kBegin + "(o.", "opcode 0x6f is refused"},
      {"NewObj", kBegin + "\x81.", "opcode 0x81 is refused"},
      {"Extension", kBegin + "\x82\x01.", "opcode 0x82 is refused"},
      {"TextPersistentId", kBegin + "Pstorage\n.", "opcode 0x50 is refused"},
      {"CallOfAStorageType", kBegin + "ctorch\nFloatStorage\n)R.", "a call of a storage type"},
      {"CallOfAString", kBegin + Text("os.system") + ")R.", "a call of a string"},
      {"OrderedDictOfArguments", kBegin + "ccollections\nOrderedDict\nK\1\x85R.",
       "a call of collections.OrderedDict with 1 arguments"},
      {"OtherProtocol", std::string("\x80\x06."), "expected a pickle of protocol 2 to 5"},
      {"NoProtocol", "}.", "expected a pickle of protocol 2"},
      {"Empty", "", "expected a pickle of protocol 2"},
      {"NoStop", kBegin + "}", "truncated"},
      {"StringPastTheEnd",
       kBegin + "X\xff\xff\xff\xff"
                "abc.",
       "a string claims 4294967295 bytes"},
      {"CutInANumber", kBegin + "J\1\2", "truncated"},
      {"CutInAnImport", kBegin + "ccollections\nOrdered", "truncated"},
      {"StackUnderflow", kBegin + "\x86.", "the stack is empty"},
      {"NoMark", kBegin + "t.", "no mark"},
      {"EmptyMemoSlot", kBegin + "h\x07.", "memo slot 7 is empty"},
      {"OddItems", kBegin + "}(NNNu.", "do not pair up"},
      {"ItemsInATuple", kBegin + ")NNs.", "what is not a dictionary"},
      {"ItemsWithoutTarget", kBegin + "(NNu.", "do not pair up"},
      {"ResultIsATuple", kBegin + ").", "the result is not a dictionary"},
      {"ResultIsMissing", kBegin + kStop, "the result is not a dictionary"},
      {"KeyIsANumber", Dict("K\1" + Tensor(FloatStorage(), 0, {6}, {1})),
       "a key of the result is not a string"},
      {"NestedDictionaries", Dict(Text("state_dict") + "}"),
       "'state_dict': expected a tensor, found a dictionary"},
      {"DuplicateKey",
       Dict(Text("w") + Tensor(FloatStorage(), 0, {6}, {1}) + Text("w") +
            Tensor(FloatStorage(), 0, {6}, {1})),
       "'w' is there twice"},
      {"BadPersistentId", kBegin + Text("storage") + "\x85Q.", "a persistent id is not"},
      {"AbsentStorage", tensor(Tensor(pickle::Storage("FloatStorage", "9", 6), 0, {6}, {1})),
       "holds no storage 'model/data/9'"},
      {"StorageClimbingOut",
       tensor(Tensor(pickle::Storage("FloatStorage", "../data.pkl", 1), 0, {1}, {1})),
       "holds no storage 'model/data/../data.pkl'"},
      {"StorageOfAnotherSize", tensor(Tensor(pickle::Storage("FloatStorage", "0", 7), 0, {6}, {1})),
       "storage '0' of 7 F32 elements, found 24 bytes"},
      {"NegativeStorage", tensor(Tensor(pickle::Storage("FloatStorage", "0", -6), 0, {6}, {1})),
       "storage '0' of -6"},
      {"WindowPastTheEnd", tensor(Tensor(FloatStorage(), 1, {2, 3}, {3, 1})),
       "shape [2, 3] at element 1 leaves its storage of 6 elements"},
      {"NegativeOffset", tensor(Tensor(FloatStorage(), -1, {2}, {1})), "at element -1"},
      {"NegativeSize", tensor(Tensor(FloatStorage(), 0, {-2}, {1})), "shape [-2]"},
      {"HugeShape",
       tensor(Tensor(FloatStorage(), 0, {2147483647, 2147483647, 2147483647}, {1, 1, 1})),
       "leaves its storage"},
      {"Gaps", tensor(Tensor(FloatStorage(), 0, {2, 2}, {1, 3})),
       "shape [2, 2] has strides [1, 3], expected those of a contiguous one, in any order"},
      {"Overlapping", tensor(Tensor(FloatStorage(), 0, {2, 3}, {1, 1})), "has strides [1, 1]"},
      {"Backwards", tensor(Tensor(FloatStorage(), 0, {6}, {-1})), "has strides [-1]"},
      {"Broadcast", tensor(Tensor(FloatStorage(), 0, {6}, {0})), "has strides [0]"},
      {"StridesOfAnotherRank", tensor(Tensor(FloatStorage(), 0, {2, 3}, {1})), "has strides [1]"},
      {"TooManyDimensions",
       tensor(Tensor(FloatStorage(), 0, std::vector<int32_t>(17, 1), std::vector<int32_t>(17, 1))),
       "17 dimensions, at most 16"},
      {"TensorOfStrings",
       kBegin + "ctorch._utils\n_rebuild_tensor_v2\n(" + FloatStorage() + "K\0(" + Text("6") +
           "t)" + "\x89}tR.",
       ""},
      {"TooManyInstructions", kBegin + std::string(size_t{1} << 20, 'N') + kStop,
       "more than 1048576 instructions"},
  };
}

TEST(TorchPickleTest, RefusesEverythingButTensors) {
  for (const Refusal& refusal : Refusals()) {
    const std::string file = TorchArchive(refusal.pickle, kData);
    const absl::Status status = ParseTorchArchive(Bytes(file)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << refusal.name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(refusal.message)) << refusal.name;
  }
}

TEST(TorchPickleTest, RefusesASmallFileThatShowsItsBytesOverAndOver) {
  const std::string data(100000, 'x');
  const auto archive = [&](int copies) {
    std::string items;
    for (int i = 0; i < copies; ++i) {
      items += pickle::Text("w" + std::to_string(i)) +
               pickle::Tensor(pickle::Storage("ByteStorage", "0", 100000), 0, {100000}, {1});
    }
    return TorchArchive(pickle::Dict(items), data);
  };
  EXPECT_TRUE(ParseTorchArchive(Bytes(archive(2))).ok()) << "tied weights";
  EXPECT_THAT(std::string(ParseTorchArchive(Bytes(archive(4))).status().message()),
              HasSubstr("tensors show 400000 bytes of a file of 10"));
}

// A dictionary that holds itself, and tuples nested a hundred thousand deep.
TEST(TorchPickleTest, CyclesAndDeepNestingCostNothing) {
  const std::string cycle = pickle::kBegin + "}q\1" + pickle::Text("self") + "h\1s.";
  EXPECT_THAT(std::string(ParseTorchArchive(Bytes(TorchArchive(cycle, kData))).status().message()),
              HasSubstr("'self': expected a tensor, found a dictionary"));
  const std::string deep = pickle::kBegin + "N" + std::string(100000, '\x85') + ".";
  EXPECT_FALSE(ParseTorchArchive(Bytes(TorchArchive(deep, kData))).ok());
}

TEST(TorchPickleTest, RefusesDamagedAndForeignArchives) {
  const ZipEntry good = {"m/data.pkl", OneTensor()}, data = {"m/data/0", kData};
  const auto with = [&](auto change) {
    ZipEntry entry = data;
    change(entry);
    return Zip({good, entry});
  };
  ASSERT_TRUE(ParseTorchArchive(Bytes(Zip({good, data}))).ok());
  const std::pair<std::string, const char*> cases[] = {
      {"", "not a zip archive"},
      {"\x80\x02ctorch", "not a zip archive, or truncated"},
      {Zip({}), "holds no <name>/data.pkl"},
      {Zip({data}), "holds no <name>/data.pkl"},
      {Zip({good, {"n/data.pkl", ""}}), "holds two pickles, 'm/data.pkl' and 'n/data.pkl'"},
      {Zip({good, data, data}), "'m/data/0': is there twice"},
      {Zip({good, data, {"m/byteorder", "big"}}), "byteorder is 'big'"},
      {Zip({good, data}, "", 1), "holds 2 entries, expected 3"},
      {Zip({good, data}, "", -1), "holds more than its entries"},
      {with([](ZipEntry& e) { e.method = 8; }),
       "zip entry 'm/data/0' is compressed (method 8), expected it stored"},
      {with([](ZipEntry& e) { e.flags = 1; }), "is encrypted"},
      {with([](ZipEntry& e) { e.claimed_size = 1000000; }), "claims 1000000 bytes"},
      {with([](ZipEntry& e) { e.claimed_size = 0xFFFFFFFF; }), "64-bit extension"},
      {with([](ZipEntry& e) { e.claimed_offset = 1 << 30; }), "is outside the archive"},
      {with([](ZipEntry& e) { e.claimed_offset = 3; }), "its header is not there"},
      {with([](ZipEntry& e) { e.claimed_offset = 0; }), "its two headers differ"},
      {with([](ZipEntry& e) { e.local_name = "m/data/1"; }), "its two headers differ"},
  };
  for (const auto& [file, message] : cases) {
    const absl::Status status = ParseTorchArchive(Bytes(file)).status();
    EXPECT_FALSE(status.ok()) << message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
}

TEST(TorchPickleTest, RefusesAGoldenFileCutAnywhereAndSurvivesFlippedBytes) {
  const std::string whole =
      ReadWholeFile(ShippedGoldenDirectory() / "unet/cifar_tiny_bin/diffusion_pytorch_model.bin");
  ASSERT_TRUE(ParseTorchArchive(Bytes(whole)).ok());
  for (size_t size = 0; size < whole.size(); size += 487) {
    ASSERT_FALSE(ParseTorchArchive(Bytes(whole).first(size)).ok()) << size;
  }
  // Most flips hit weights and go unseen; what matters is that none crashes.
  std::string flipped = whole;
  for (size_t at = 0; at < whole.size(); at += 211) {
    flipped[at] = static_cast<char>(~flipped[at]);
    ParseTorchArchive(Bytes(flipped)).IgnoreError();
    flipped[at] = whole[at];
  }
}

}  // namespace
}  // namespace diffusiond
