#include "model/unet/device_option.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

std::string Refusal(const std::string& text) {
  const absl::Status status = ParseDevice(text).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(status.message());
}

TEST(DeviceOptionTest, TakesWhatIsThere) {
  EXPECT_EQ(*ParseDevice("cpu"), torch::Device(torch::kCPU));
  if (!torch::cuda::is_available()) {
    EXPECT_EQ(Refusal("cuda"), "--device is \"cuda\"; 0 GPUs can be used here");
  } else {
    EXPECT_EQ(*ParseDevice("cuda"), torch::Device(torch::kCUDA));
    EXPECT_EQ(*ParseDevice("cuda:0"), torch::Device(torch::kCUDA, 0));
  }
  EXPECT_THAT(Refusal("cuda:4000"), HasSubstr("\"cuda:4000\"; "));
}

TEST(DeviceOptionTest, RefusesOtherTexts) {
  for (const std::string text : {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:1:2", "CPU"}) {
    EXPECT_EQ(Refusal(text), "--device is \"" + text + "\"; it must be cpu, cuda or cuda:N");
  }
}

}  // namespace
}  // namespace diffusiond
