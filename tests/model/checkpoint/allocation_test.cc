// Files that claim much must not cost much: every allocation of this process is counted.
#include <cstddef>
#include <cstdlib>
#include <new>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/torch_pickle.h"
#include "tests/model/checkpoint/golden_directory.h"
#include "tests/model/checkpoint/torch_archive_writer.h"

namespace {

size_t allocated_bytes = 0;  // One thread.

void* Allocate(size_t size) {
  allocated_bytes += size;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(size_t size) { return Allocate(size); }
void* operator new[](size_t size) { return Allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

namespace diffusiond {
namespace {

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(AllocationTest, ATinySafetensorsFileThatClaimsTenGigabytesIsRefusedCheaply) {
  const std::string entry =
      R"({"dtype":"F32","shape":[2500000000],"data_offsets":[0,10000000000]})";
  const std::string files[] = {
      LittleEndian<uint64_t>(entry.size() + 6) + R"({"w":)" + entry + "}",
      LittleEndian<uint64_t>(10000000000) + R"({"w":)" + entry + "}",
      LittleEndian<uint64_t>(~uint64_t{0}) + "{}",
  };
  for (const std::string& file : files) {
    const size_t before = allocated_bytes;
    EXPECT_FALSE(ParseSafetensors(Bytes(file)).ok());
    EXPECT_LT(allocated_bytes - before, 16384u);
  }
}

TEST(AllocationTest, ATinyPickleThatClaimsGigabytesIsRefusedCheaply) {
  const std::string pickles[] = {
      pickle::kBegin + "X\xff\xff\xff\xff.",
      pickle::Dict(
          pickle::Text("w") +
          pickle::Tensor(pickle::Storage("FloatStorage", "0", 2147483647), 0, {2147483647}, {1})),
      pickle::kBegin + "Nr\xff\xff\xff\xff.",
  };
  for (const std::string& pickled : pickles) {
    const std::string file = TorchArchive(pickled, "");
    const size_t before = allocated_bytes;
    EXPECT_FALSE(ParseTorchArchive(Bytes(file)).ok());
    EXPECT_LT(allocated_bytes - before, 16384u);
  }
}

TEST(AllocationTest, OpeningACheckpointCopiesNoWeights) {
  const size_t before = allocated_bytes;
  const absl::StatusOr<Checkpoint> checkpoint =
      Checkpoint::Open(ShippedGoldenDirectory() / "unet/church_narrow");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const size_t opened = allocated_bytes - before;
  size_t weights = 0;
  for (const auto& [name, tensor] : checkpoint->tensors()) weights += tensor.data.size();
  EXPECT_LT(opened, weights) << "of " << weights;

  ParameterList expected;
  for (const auto& [name, tensor] : checkpoint->tensors())
    expected.emplace_back(name, tensor.shape);
  const size_t before_check = allocated_bytes;
  EXPECT_TRUE(checkpoint->weights().Check(expected).ok());
  EXPECT_LT(allocated_bytes - before_check, weights / 10);
}

}  // namespace
}  // namespace diffusiond
