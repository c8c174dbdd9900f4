// Every checkpoint under <golden>/unet must compute what diffusers computed
// (tests/golden/README.md).
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "model/checkpoint/diffusers_directory.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/scheduler_config_json.h"
#include "model/checkpoint/unet_config_json.h"
#include "model/sampling/plan_update.h"
#include "model/sampling/sampler.h"
#include "model/unet/unet_checkpoint.h"
#include "nlohmann/json.hpp"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

fs::path GoldenDirectory() {
  const char* directory = std::getenv("DIFFUSIOND_GOLDEN_DIR");
  return fs::path(directory != nullptr ? directory : "tests/golden");
}

std::vector<std::string> Cases() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(GoldenDirectory() / "unet")) {
    if (entry.is_directory()) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

torch::Tensor ToTensor(const TensorView& view) {
  const auto dtype = view.dtype == Dtype::kI64   ? torch::kInt64
                     : view.dtype == Dtype::kF64 ? torch::kFloat64
                     : view.dtype == Dtype::kU8  ? torch::kUInt8
                                                 : torch::kFloat32;
  return torch::from_blob(const_cast<std::byte*>(view.data.data()), view.shape, dtype).clone();
}

double MaxDifference(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

class GoldenUNetTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    at::set_num_threads(1);
    directory_ = GoldenDirectory() / "unet" / GetParam();
    auto checkpoint = Checkpoint::Open(directory_);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    auto network = LoadUNet(*checkpoint);
    ASSERT_TRUE(network.ok()) << network.status();
    network_ = *network;
    io_ = Tensors("io.safetensors");
    std::ifstream meta(directory_ / "meta.json");
    meta_ = nlohmann::json::parse(meta);
    tolerance_ = meta_.at("suggested_abs_tol_out").get<double>();
  }

  std::map<std::string, torch::Tensor> Tensors(const std::string& file) {
    auto opened = SafetensorsFile::Open(directory_ / file);
    std::map<std::string, torch::Tensor> tensors;
    if (!opened.ok()) return tensors;
    for (const auto& [name, view] : opened->tensors()) tensors[name] = ToTensor(view);
    return tensors;
  }

  torch::Tensor Labels() const {
    const auto labels = io_.find("class_labels");
    return labels == io_.end() ? torch::Tensor() : labels->second;
  }

  fs::path directory_;
  std::shared_ptr<UNet> network_;
  std::map<std::string, torch::Tensor> io_;
  nlohmann::json meta_;
  double tolerance_ = 0;
};

TEST_P(GoldenUNetTest, OutputMatches) {
  torch::NoGradGuard no_grad;
  EXPECT_LE(
      MaxDifference(network_->Forward(io_.at("x"), io_.at("timesteps"), Labels()), io_.at("out")),
      tolerance_);
}

TEST_P(GoldenUNetTest, OutputAtFractionalTimestepsMatches) {
  torch::NoGradGuard no_grad;
  if (!io_.contains("timesteps_float")) return;  // The set has it for some networks only.
  EXPECT_LE(MaxDifference(network_->Forward(io_.at("x"), io_.at("timesteps_float"), Labels()),
                          io_.at("out_float_t")),
            tolerance_);
}

TEST_P(GoldenUNetTest, LossAndGradientsMatch) {
  if (!io_.contains("loss")) return;  // The set has them for some networks only.
  for (const auto& parameter : network_->parameters()) parameter.set_requires_grad(true);
  const torch::Tensor loss = torch::mse_loss(
      network_->Forward(io_.at("x"), io_.at("timesteps"), Labels()), io_.at("target"));
  loss.backward();
  EXPECT_NEAR(loss.item<double>(), io_.at("loss").item<double>(), 1e-5);
  int compared = 0;
  for (const auto& parameter : network_->named_parameters()) {
    const auto golden = io_.find("grad/" + parameter.key());
    if (golden == io_.end()) continue;
    const torch::Tensor gradient = parameter.value().grad().to(torch::kFloat64).flatten();
    const torch::Tensor index = torch::arange(gradient.numel(), torch::kFloat64);
    const double norm = gradient.norm().item<double>();
    const double allowed = 1e-4 * norm + 1e-6;
    EXPECT_NEAR(norm, golden->second[0].item<double>(), allowed) << parameter.key();
    // A sum of n terms carries their rounding errors.
    const double summed = allowed * std::sqrt(static_cast<double>(gradient.numel()));
    EXPECT_NEAR(gradient.sum().item<double>(), golden->second[1].item<double>(), summed)
        << parameter.key();
    EXPECT_NEAR((gradient * torch::cos(index)).sum().item<double>(),
                golden->second[2].item<double>(), summed)
        << parameter.key();
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

// Ten steps of diffusers' pipeline with its recorded noise, through the plan the server runs.
TEST_P(GoldenUNetTest, TenStepSampleMatches) {
  torch::NoGradGuard no_grad;
  if (!meta_.contains("sample10")) return;  // The set has it for some networks only.
  auto sample = Tensors("sample10.safetensors");
  ASSERT_FALSE(sample.empty());
  const nlohmann::json& recipe = meta_.at("sample10");
  auto config = ParseSchedulerConfig(recipe.at("scheduler_config").dump());
  ASSERT_TRUE(config.ok()) << config.status();
  auto model = MakeModelSchedule(*config);
  ASSERT_TRUE(model.ok()) << model.status();
  SamplingOptions options = DefaultSamplingOptions(*config);
  options.steps = recipe.at("num_inference_steps").get<int64_t>();
  if (recipe.contains("eta") && !recipe.at("eta").is_null()) options.eta = recipe.at("eta");
  auto plan = CompilePlan(*model, options);
  ASSERT_TRUE(plan.ok()) << plan.status();

  torch::Tensor x = sample.at("x_init").clone();
  const int64_t batch = x.size(0), elements = x.numel() / x.size(0);
  for (size_t i = 0; i < plan->rows.size(); ++i) {
    const PlanRow& row = plan->rows[i];
    ASSERT_EQ(row.timestep, sample.at("timesteps")[static_cast<int64_t>(i)].item<double>());
    const torch::Tensor timesteps = torch::full({batch}, row.timestep, torch::kFloat32);
    torch::Tensor labels;
    if (network_->config().num_class_embeds) {
      labels = sample.contains("class_labels") ? sample.at("class_labels")
                                               : Labels().narrow(0, 0, batch);
    }
    const torch::Tensor f = network_->Forward(x * row.c_in, timesteps, labels).contiguous();
    torch::Tensor z;
    if (sample.contains("noise")) {
      for (int64_t k = 0; k < sample.at("noise_step").numel(); ++k) {
        if (sample.at("noise_step")[k].item<int64_t>() == static_cast<int64_t>(i)) {
          z = sample.at("noise")[k].contiguous();
        }
      }
    }
    ASSERT_EQ(row.draws_noise, z.defined()) << "step " << i;
    std::vector<float> clean(static_cast<size_t>(elements));
    for (int64_t b = 0; b < batch; ++b) {
      const size_t n = static_cast<size_t>(elements);
      ApplyPlanRow(*plan, row, {f[b].data_ptr<float>(), n},
                   z.defined() ? std::span<const float>(z[b].data_ptr<float>(), n)
                               : std::span<const float>(),
                   {x[b].data_ptr<float>(), n}, clean);
    }
    EXPECT_NEAR(x.abs().mean().item<double>(),
                sample.at("xs_mean_abs")[static_cast<int64_t>(i)].item<double>(), 1e-5)
        << "step " << i;
  }
  EXPECT_LE(MaxDifference(x, sample.at("x_final")), 1e-4);
  const torch::Tensor bytes =
      ((x / 2 + 0.5).clamp(0, 1) * 255).round().permute({0, 2, 3, 1}).to(torch::kUInt8);
  // A value on the edge between two bytes may fall on either side.
  EXPECT_LE(
      MaxDifference(bytes.to(torch::kFloat64), sample.at("image_u8_nhwc").to(torch::kFloat64)), 1);
}

INSTANTIATE_TEST_SUITE_P(Golden, GoldenUNetTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param; });

struct FullModel {
  const char* parameters;
  const char* config;
};

// The published checkpoints' parameter lists: 35.7 and 113.7 million parameters, none allocated.
TEST(GoldenParameterListTest, NamesAndShapesOfPublishedCheckpoints) {
  for (const FullModel& model : {FullModel{"ddpm-cifar10-32.params.json", "ddpm-cifar10-32"},
                                 FullModel{"ddpm-256.params.json", "ddpm-church-256"}}) {
    SCOPED_TRACE(model.parameters);
    std::ifstream file(GoldenDirectory() / "full" / model.parameters);
    ASSERT_TRUE(file.good());
    const nlohmann::json golden = nlohmann::json::parse(file);
    std::ifstream config_file(GoldenDirectory() / "hub" / model.config / "config.json");
    const std::string text((std::istreambuf_iterator<char>(config_file)), {});
    auto config = ParseUNetConfig(text);
    ASSERT_TRUE(config.ok()) << config.status();
    std::map<std::string, std::vector<int64_t>> expected;
    for (const auto& entry : golden.at("tensors")) {  // [name, old name or null, shape]
      expected[entry.at(0)] = entry.at(2).get<std::vector<int64_t>>();
    }
    std::map<std::string, std::vector<int64_t>> actual;
    for (const auto& [name, shape] : ParameterShapes(*config)) actual[name] = shape;
    EXPECT_EQ(actual, expected);
  }
}

}  // namespace
}  // namespace diffusiond
