#include "model/training/run/training_state_metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <span>
#include <utility>
#include <vector>

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class StateMetadataTest : public ::testing::Test {
 protected:
  TensorView View(std::vector<int64_t> shape, Dtype dtype = Dtype::kF32) const {
    return {.dtype = dtype, .shape = std::move(shape), .data = std::as_bytes(std::span(values_))};
  }

  absl::StatusOr<StateSteps> Check(const StateMetadata& metadata) const {
    return CheckState(metadata, tensors_, "run", {{"ema", {2}}, {"parameters", {2}}});
  }

  const std::array<float, 2> values_ = {1, 2};
  TensorMap tensors_ = {
      {"ema", View({2})}, {"parameters", View({2})}, {"extra.history", View({1, 2})}};
};

TEST_F(StateMetadataTest, WhatIsWrittenIsTaken) {
  const auto steps = Check(MakeStateMetadata({.done = 17, .skipped = 2}, "run", tensors_));
  ASSERT_TRUE(steps.ok()) << steps.status();
  EXPECT_EQ(steps->done, 17);
  EXPECT_EQ(steps->skipped, 2);
}

TEST_F(StateMetadataTest, WordsUnderARightChecksumAreJudgedToo) {
  const StateMetadata good = MakeStateMetadata({.done = 17}, "run", tensors_);
  const auto with = [&](const char* key, const char* value) {
    StateMetadata metadata = good;
    metadata[key] = value;
    return Check(Checksummed(metadata, tensors_)).status();
  };
  for (const auto& [key, value] : {std::pair{"step", "-1"},
                                   {"step", ""},
                                   {"step", "9223372036854775808"},
                                   {"step", "17 steps"},
                                   {"skipped_steps", "-1"},
                                   {"skipped_steps", "18"}}) {
    EXPECT_EQ(with(key, value), absl::DataLossError("no valid number of steps"))
        << key << " " << value;
  }
  EXPECT_TRUE(with("skipped_steps", "17").ok());
  const absl::Status other = with("fingerprint", "another");
  EXPECT_EQ(other.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(other.message()),
              HasSubstr("it has the fingerprint another, this run run"));
  EXPECT_TRUE(with("written_by", "a later version").ok());
}

TEST_F(StateMetadataTest, TensorsAreThoseOfTheRun) {
  const auto with = [&](const char* name, const TensorView& view) {
    tensors_[name] = view;
    return Check(MakeStateMetadata({.done = 17}, "run", tensors_)).status();
  };
  EXPECT_EQ(with("ema", View({2}, Dtype::kI32)),
            absl::DataLossError("tensor ema is I32 [2]; expected F32 [2]"));
  EXPECT_EQ(with("ema", View({1, 2})),
            absl::DataLossError("tensor ema is F32 [1, 2]; expected F32 [2]"));
  tensors_.erase("ema");
  EXPECT_EQ(Check(MakeStateMetadata({.done = 17}, "run", tensors_)).status(),
            absl::DataLossError("tensor ema missing"));
}

TEST_F(StateMetadataTest, TheChecksumIsOfAllThatCounts) {
  const StateMetadata good = MakeStateMetadata({.done = 17}, "run", tensors_);
  StateMetadata none = good;
  none.erase("sha256");
  EXPECT_THAT(std::string(Check(none).status().message()), HasSubstr("it says none"));
  StateMetadata later = good;
  later["step"] = "18";
  StateMetadata more = good;
  more["more"] = "";
  for (const StateMetadata& changed : {later, more}) {
    EXPECT_EQ(Check(changed).status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(Check(changed).status().message()),
                StartsWith("damaged: its SHA-256 is "));
  }
  const std::array<float, 2> others = {1, 3};
  TensorMap changed = tensors_;
  changed["extra.history"].data = std::as_bytes(std::span(others));
  EXPECT_NE(Checksummed(good, changed), good);
  changed = tensors_;
  changed["extra.history"].shape = {2, 1};
  EXPECT_NE(Checksummed(good, changed), good);
  EXPECT_EQ(Checksummed(good, tensors_), good);
}

}  // namespace
}  // namespace diffusiond
