// The command `replay`: the same bytes again, or what differs.
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "client/receipt_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/diffusionctl_fixture.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ReplayTest : public DiffusionctlTest {
 protected:
  // Writes the receipt of TinyStream(2, 3), changed.
  std::string WriteReceipt(const std::function<void(v1::Receipt&)>& change) {
    v1::Receipt receipt = TinyStream(2, 3).back().completed().receipt();
    change(receipt);
    fs::create_directories(directory_);
    std::ofstream(directory_ / "receipt.json") << ReceiptToJson(receipt);
    return Path("receipt.json");
  }
};

TEST_F(ReplayTest, SaysIdenticalWhenEveryByteIs) {
  Serve({.events = TinyStream(2, 3), .models = {TinyModel()}});
  EXPECT_EQ(Run({"replay", WriteReceipt([](v1::Receipt&) {}), "--quiet"}), kExitOk) << err();
  EXPECT_EQ(out(), "identical: 2 images have the same bytes as then\n");
  EXPECT_EQ(server_->last_request()->sampling().steps(), 3u);
  EXPECT_THAT(Files(), ElementsAre("receipt.json"));
}

TEST_F(ReplayTest, SavesTheImagesWhereAsked) {
  Serve({.events = TinyStream(2, 3), .models = {TinyModel()}});
  EXPECT_EQ(Run({"replay", WriteReceipt([](v1::Receipt&) {}), "--out=" + Path("again.png")}),
            kExitOk);
  EXPECT_THAT(Files(), ElementsAre("again-0.png", "again-1.png", "receipt.json"));
}

TEST_F(ReplayTest, NamesTheImageThatDiffers) {
  Serve({.events = TinyStream(2, 3), .models = {TinyModel()}});
  const std::string path = WriteReceipt([](v1::Receipt& r) { r.set_image_sha256(1, "abcd"); });
  EXPECT_EQ(Run({"replay", path}), kExitFailed);
  EXPECT_THAT(out(), HasSubstr("different: 1 of 2 images\n  image 1: abcd then, "));
}

TEST_F(ReplayTest, NamesDigestAndNumericsThatDiffer) {
  Serve({.events = TinyStream(2, 3), .models = {TinyModel()}});
  const std::string path = WriteReceipt([](v1::Receipt& r) {
    r.set_model_digest("beef");
    r.mutable_numerics()->set_libtorch_version("2.5");
    r.set_image_sha256(0, "abcd");
  });
  EXPECT_EQ(Run({"replay", path}), kExitFailed);
  EXPECT_THAT(out(), HasSubstr("model_digest: 'beef' then, 'd19357"));
  EXPECT_THAT(out(), HasSubstr("libtorch_version: '2.5' then, '1.13.1' now"));
  EXPECT_THAT(out(), HasSubstr("image 0: abcd then"));
}

TEST_F(ReplayTest, RefusesAFileThatIsNoReceipt) {
  fs::create_directories(directory_);
  std::ofstream(directory_ / "receipt.json") << "{\"a\": ";
  Serve({.models = {TinyModel()}});
  EXPECT_EQ(Run({"replay", Path("receipt.json")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("receipt.json: not the JSON of a receipt"));
}

}  // namespace
}  // namespace diffusiond
