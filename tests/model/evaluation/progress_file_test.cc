#include "model/evaluation/progress_file.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/model/checkpoint/scratch_directory.h"

namespace diffusiond {
namespace {

NumberTables Tables() {
  NumberTables tables;
  tables["a"].AppendRow({1, 1.0 / 3});
  tables["a"].AppendRow({-0.0, 1e-300});
  tables["empty"].columns = 3;
  return tables;
}

TEST(ProgressFileTest, TablesComeBackAsTheyWere) {
  ScratchDirectory scratch;
  ASSERT_TRUE(SaveNumberTables(scratch / "state", Tables(), "x").ok());
  const auto loaded = LoadNumberTables(scratch / "state", "x", {{"a", 2}, {"empty", 3}});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->at("a").values, Tables().at("a").values);
  EXPECT_EQ(loaded->at("a").rows(), 2u);
  EXPECT_EQ(loaded->at("a").row(1)[1], 1e-300);
  EXPECT_EQ(loaded->at("empty").rows(), 0u);
}

TEST(ProgressFileTest, WhatDoesNotFitIsNamed) {
  ScratchDirectory scratch;
  ASSERT_TRUE(SaveNumberTables(scratch / "state", Tables(), "x").ok());
  struct Case {
    std::string fingerprint;
    std::map<std::string, size_t> columns;
    absl::StatusCode code;
    std::string named;
  };
  const std::string long_one(300, 'm');
  for (const Case& c :
       {Case{"y", {{"a", 2}}, absl::StatusCode::kFailedPrecondition, "is of 'x'"},
        Case{absl::StrCat(long_one, "y"),
             {{"a", 2}},
             absl::StatusCode::kFailedPrecondition,
             "mmy'; give another --out, or remove the file"},
        Case{"x", {{"b", 2}}, absl::StatusCode::kInvalidArgument, "tensor b missing"},
        Case{"x", {{"a", 3}}, absl::StatusCode::kInvalidArgument, "F64 [2, 2]"}}) {
    const auto status = LoadNumberTables(scratch / "state", c.fingerprint, c.columns).status();
    EXPECT_EQ(status.code(), c.code) << status;
    EXPECT_NE(status.message().find(c.named), std::string::npos) << status;
  }
  EXPECT_EQ(LoadNumberTables(scratch / "none", "x", {}).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace diffusiond
