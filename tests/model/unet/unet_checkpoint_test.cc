#include "model/unet/unet_checkpoint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "model/checkpoint/safetensors.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

fs::path GoldenDirectory() {
  const char* directory = std::getenv("DIFFUSIOND_GOLDEN_DIR");
  return fs::path(directory != nullptr ? directory : "tests/golden") / "unet";
}

constexpr char kWeights[] = "unet/diffusion_pytorch_model.safetensors";

// What the trainer writes has, tensor for tensor, the names, types, shapes and bytes that Python
// diffusers wrote for the same network.
TEST(UNetCheckpointTest, SavedNetworkEqualsThePeersFile) {
  const fs::path out = fs::path(testing::TempDir()) / "unet_checkpoint_test";
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(GoldenDirectory())) {
    if (!fs::exists(entry.path() / kWeights)) continue;  // Flat directories have the old names.
    SCOPED_TRACE(entry.path().string());
    fs::remove_all(out);
    auto checkpoint = Checkpoint::Open(entry.path());
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    auto network = LoadUNet(*checkpoint);
    ASSERT_TRUE(network.ok()) << network.status();
    const absl::Status saved = SaveCheckpoint(out, checkpoint->config(), ViewParameters(**network));
    ASSERT_TRUE(saved.ok()) << saved;

    auto ours = SafetensorsFile::Open(out / kWeights);
    auto theirs = SafetensorsFile::Open(entry.path() / kWeights);
    ASSERT_TRUE(ours.ok()) << ours.status();
    ASSERT_TRUE(theirs.ok()) << theirs.status();
    ASSERT_EQ(ours->tensors().size(), theirs->tensors().size());
    for (const auto& [name, expected] : theirs->tensors()) {
      const auto found = ours->tensors().find(name);
      ASSERT_NE(found, ours->tensors().end()) << name;
      EXPECT_EQ(found->second.dtype, expected.dtype) << name;
      EXPECT_EQ(found->second.shape, expected.shape) << name;
      EXPECT_TRUE(std::ranges::equal(found->second.data, expected.data)) << name;
    }
    auto reopened = Checkpoint::Open(out);
    ASSERT_TRUE(reopened.ok()) << reopened.status();
    EXPECT_EQ(reopened->digest(), checkpoint->digest());
    ++compared;
  }
  EXPECT_GT(compared, 0);
  fs::remove_all(out);
}

TEST(UNetCheckpointTest, TensorsOfAnotherNetworkAreNamed) {
  const fs::path out = fs::path(testing::TempDir()) / "unet_checkpoint_test_other";
  fs::remove_all(out);
  auto checkpoint = Checkpoint::Open(GoldenDirectory() / "mnist_noattn");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  TensorMap tensors = checkpoint->tensors();
  tensors.erase("conv_in.bias");
  tensors["conv_extra.bias"] = tensors.at("conv_out.bias");
  tensors["conv_out.weight"].shape.insert(tensors["conv_out.weight"].shape.begin(), 1);
  ASSERT_TRUE(SaveCheckpoint(out, checkpoint->config(), tensors).ok());
  auto other = Checkpoint::Open(out);
  ASSERT_TRUE(other.ok()) << other.status();
  const absl::Status status = LoadUNet(*other).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  for (const char* named : {"conv_in.bias", "conv_extra.bias", "conv_out.weight"}) {
    EXPECT_NE(std::string(status.message()).find(named), std::string::npos) << status;
  }
  fs::remove_all(out);
}

}  // namespace
}  // namespace diffusiond
