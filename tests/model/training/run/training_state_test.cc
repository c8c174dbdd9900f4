#include "model/training/run/training_state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace diffusiond {
namespace {

TrainingState RandomState(int64_t size) {
  torch::manual_seed(3);
  TrainingState state;
  state.parameters = torch::randn({size});
  state.ema = torch::randn({size});
  state.first_moment = torch::randn({size});
  state.second_moment = torch::rand({size});
  state.step = 17;
  return state;
}

TEST(EmaTest, DecayWarmsUpThenStays) {
  TrainingState state;
  state.parameters = torch::ones({1});
  state.ema = torch::zeros({1});
  state.step = 1;
  UpdateEma(0.9, &state);  // (1 + 1) / (10 + 1) of the old value stays.
  EXPECT_NEAR(state.ema.item<double>(), 1 - 2.0 / 11, 1e-6);
  state.ema.zero_();
  state.step = 1000;
  UpdateEma(0.9, &state);
  EXPECT_NEAR(state.ema.item<double>(), 0.1, 1e-6);
}

class TrainingStateTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  static TrainingState Zeros(int64_t size) {
    TrainingState state = RandomState(size);
    for (torch::Tensor* tensor :
         {&state.parameters, &state.ema, &state.first_moment, &state.second_moment}) {
      tensor->zero_();
    }
    state.extra["history"] = torch::zeros({2, 3});
    state.step = 0;
    return state;
  }

  const std::filesystem::path path_ =
      std::filesystem::path(testing::TempDir()) / "training_state_test.safetensors";
};

TEST_F(TrainingStateTest, RoundTripAndRefusals) {
  TrainingState saved = RandomState(10);
  saved.skipped_steps = 2;
  saved.extra["history"] = torch::randn({2, 3});
  ASSERT_TRUE(SaveTrainingState(path_, saved, "run a").ok());
  TrainingState loaded = Zeros(10);
  const absl::Status status = LoadTrainingState(path_, "run a", &loaded);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(loaded.step, 17);
  EXPECT_EQ(loaded.skipped_steps, 2);
  EXPECT_TRUE(torch::equal(loaded.parameters, saved.parameters));
  EXPECT_TRUE(torch::equal(loaded.ema, saved.ema));
  EXPECT_TRUE(torch::equal(loaded.first_moment, saved.first_moment));
  EXPECT_TRUE(torch::equal(loaded.second_moment, saved.second_moment));
  EXPECT_TRUE(torch::equal(loaded.extra["history"], saved.extra["history"]));

  const absl::Status other = LoadTrainingState(path_, "run b", &loaded);
  EXPECT_EQ(other.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(other.message().find("--steps, --batch_size"), std::string::npos) << other;
  EXPECT_NE(other.message().find("as they were, or another --out"), std::string::npos) << other;
  TrainingState larger = Zeros(11);
  EXPECT_EQ(LoadTrainingState(path_, "run a", &larger).code(), absl::StatusCode::kDataLoss);
  std::filesystem::remove(path_);
  EXPECT_EQ(LoadTrainingState(path_, "run a", &loaded).code(), absl::StatusCode::kNotFound);
}

TEST_F(TrainingStateTest, AnyDamageIsSeenAndChangesNothing) {
  TrainingState saved = RandomState(10);
  saved.extra["history"] = torch::randn({2, 3});
  ASSERT_TRUE(SaveTrainingState(path_, saved, "run a").ok());
  std::ifstream file(path_, std::ios::binary);
  const std::string whole(std::istreambuf_iterator<char>(file), {});
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ 4);
    std::ofstream(path_, std::ios::binary) << bytes;
    TrainingState loaded = Zeros(10);
    const absl::Status status = LoadTrainingState(path_, "run a", &loaded);
    if (status.ok()) {  // White space of the header, at most.
      EXPECT_TRUE(torch::equal(loaded.parameters, saved.parameters)) << "byte " << i;
      EXPECT_EQ(loaded.step, 17) << "byte " << i;
      continue;
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << "byte " << i << ": " << status;
    EXPECT_EQ(loaded.step, 0) << "byte " << i;
    EXPECT_EQ(loaded.parameters.abs().max().item<float>(), 0) << "byte " << i;
  }
  for (size_t size : {size_t{0}, size_t{7}, whole.size() / 2, whole.size() - 1}) {
    std::ofstream(path_, std::ios::binary) << whole.substr(0, size);
    TrainingState loaded = Zeros(10);
    EXPECT_EQ(LoadTrainingState(path_, "run a", &loaded).code(), absl::StatusCode::kDataLoss)
        << size << " bytes";
  }
}

}  // namespace
}  // namespace diffusiond
