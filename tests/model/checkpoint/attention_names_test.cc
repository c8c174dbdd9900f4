#include "model/checkpoint/attention_names.h"

#include <nlohmann/json.hpp>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/checkpoint/golden_directory.h"
#include "tests/model/checkpoint/scratch_directory.h"

namespace diffusiond {
namespace {

TEST(AttentionNamesTest, OldHubNamesBecomeTheCurrentOnes) {
  int renamed = 0;
  for (const auto& file : std::filesystem::directory_iterator(ShippedGoldenDirectory() / "full")) {
    const auto list = nlohmann::json::parse(ReadWholeFile(file.path()));
    for (const auto& row : list.at("tensors")) {
      const std::string current = row.at(0);
      EXPECT_EQ(NewParameterName(current), current);
      if (row.at(1).is_null()) continue;
      EXPECT_EQ(NewParameterName(row.at(1).get<std::string>()), current);
      ++renamed;
    }
  }
  EXPECT_GT(renamed, 0);
}

TEST(AttentionNamesTest, TouchesNothingElse) {
  for (const char* name : {"", "query", "query.weight", "0.query.weight", "attentions.x.query.bias",
                           "mid_block.attentions.0.query", "a.attentions.0.query.b.weight",
                           "mid_block.resnets.0.query.weight", "attentions.0.group_norm.weight"}) {
    EXPECT_EQ(NewParameterName(name), name);
  }
  EXPECT_EQ(NewParameterName("attentions.12.proj_attn.bias"), "attentions.12.to_out.0.bias");
}

TEST(AttentionNamesTest, OldConvolutionsBecomeMatrices) {
  const std::vector<float> values(4);
  const auto bytes = std::as_bytes(std::span(values));
  const absl::StatusOr<TensorMap> renamed =
      WithNewNames({{"m.attentions.0.query.weight", {Dtype::kF32, {2, 2, 1, 1}, bytes}},
                    {"m.attentions.0.key.weight", {Dtype::kF32, {2, 2}, bytes}},
                    {"m.shortcut.weight", {Dtype::kF32, {2, 2, 1, 1}, bytes}}});
  ASSERT_TRUE(renamed.ok()) << renamed.status();
  const std::vector<int64_t> matrix = {2, 2}, convolution = {2, 2, 1, 1};
  EXPECT_EQ(renamed->at("m.attentions.0.to_q.weight").shape, matrix);
  EXPECT_EQ(renamed->at("m.attentions.0.to_k.weight").shape, matrix);
  EXPECT_EQ(renamed->at("m.shortcut.weight").shape, convolution);
}

TEST(AttentionNamesTest, RefusesATensorUnderBothNames) {
  const absl::Status status =
      WithNewNames({{"m.attentions.0.value.bias", {}}, {"m.attentions.0.to_v.bias", {}}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("'m.attentions.0.to_v.bias'"));
}

}  // namespace
}  // namespace diffusiond
