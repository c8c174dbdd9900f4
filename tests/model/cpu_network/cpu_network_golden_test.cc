// Every checkpoint under <golden>/unet must compute what diffusers computed, within the tolerance
// that the golden numbers come with, and have the parameters that LibTorch's network has.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "model/checkpoint/diffusers_directory.h"
#include "model/checkpoint/safetensors.h"
#include "model/cpu_network/network_runner.h"
#include "model/unet/unet.h"
#include "nlohmann/json.hpp"
#include "tests/model/checkpoint/golden_directory.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> Cases() {
  std::vector<std::string> names;
  for (const fs::path& directory : GoldenCheckpoints(GoldenDirectory())) {
    names.push_back(directory.filename());
  }
  return names;
}

class CpuNetworkGoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    directory_ = GoldenDirectory() / "unet" / GetParam();
    auto checkpoint = Checkpoint::Open(directory_);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    config_ = checkpoint->config().unet;
    auto network = CpuUNet::Create(config_, checkpoint->tensors());
    ASSERT_TRUE(network.ok()) << network.status();
    network_ = *std::move(network);
    auto io = SafetensorsFile::Open(directory_ / "io.safetensors");
    ASSERT_TRUE(io.ok()) << io.status();
    io_ = std::make_unique<SafetensorsFile>(*std::move(io));
  }

  std::vector<float> Floats(const std::string& name) const {
    const TensorView& view = io_->tensors().at(name);
    if (IsFloatingPoint(view.dtype)) return ToFloats(view);
    std::vector<float> floats;
    for (const int64_t value : Labels(name)) floats.push_back(static_cast<float>(value));
    return floats;
  }

  std::vector<int64_t> Labels(const std::string& name) const {
    if (!io_->tensors().contains(name)) return {};
    const TensorView& view = io_->tensors().at(name);
    std::vector<int64_t> values(view.data.size() / sizeof(int64_t));
    std::memcpy(values.data(), view.data.data(), view.data.size());
    return values;
  }

  void ExpectOutput(const std::string& timesteps_name, const std::string& out_name) {
    const std::vector<float> x = Floats("x"), timesteps = Floats(timesteps_name),
                             out = Floats(out_name);
    std::vector<int64_t> labels = Labels("class_labels");
    labels.resize(timesteps.size());
    std::ifstream meta(directory_ / "meta.json");
    const double tolerance = nlohmann::json::parse(meta).at("suggested_abs_tol_out").get<double>();
    for (const int threads : {1, 2, 3}) {
      std::vector<float> f(out.size());
      NetworkRunner runner(network_, std::make_shared<LanePool>(threads));
      runner.Run({.rows = timesteps.size(),
                  .x = x.data(),
                  .timesteps = timesteps.data(),
                  .labels = labels.data(),
                  .f = f.data()});
      double largest = 0;
      for (size_t i = 0; i < f.size(); ++i) {
        largest = std::max(largest, static_cast<double>(std::fabs(f[i] - out[i])));
      }
      EXPECT_LE(largest, tolerance) << threads << " threads";
    }
  }

  fs::path directory_;
  UNetConfig config_;
  std::shared_ptr<const CpuUNet> network_;
  std::unique_ptr<SafetensorsFile> io_;
};

TEST_P(CpuNetworkGoldenTest, OutputMatches) { ExpectOutput("timesteps", "out"); }

TEST_P(CpuNetworkGoldenTest, OutputAtFractionalTimestepsMatches) {
  if (!io_->tensors().contains("timesteps_float")) return;  // The set has it for some only.
  ExpectOutput("timesteps_float", "out_float_t");
}

TEST_P(CpuNetworkGoldenTest, HasTheParametersOfTheReferenceNetwork) {
  ParameterList ours = CpuUNetParameters(config_), reference = ParameterShapes(config_);
  std::sort(ours.begin(), ours.end());
  std::sort(reference.begin(), reference.end());
  EXPECT_EQ(ours, reference);
}

INSTANTIATE_TEST_SUITE_P(Golden, CpuNetworkGoldenTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace diffusiond
