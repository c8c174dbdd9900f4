// Configurations that a reader must refuse, as changes of one that it takes.
#ifndef DIFFUSIOND_TESTS_MODEL_CHECKPOINT_JSON_FAULT_H_
#define DIFFUSIOND_TESTS_MODEL_CHECKPOINT_JSON_FAULT_H_

#include <nlohmann/json.hpp>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {

struct JsonFault {
  const char* change;   // Merged into a valid file (RFC 7396: null removes a field).
  const char* message;  // Part of what the reader says.
};

template <typename T>
void ExpectRefused(absl::StatusOr<T> (*parse)(absl::string_view), const nlohmann::json& valid,
                   const std::vector<JsonFault>& faults) {
  ASSERT_TRUE(parse(valid.dump()).ok()) << parse(valid.dump()).status();
  for (const JsonFault& fault : faults) {
    nlohmann::json changed = valid;
    changed.merge_patch(nlohmann::json::parse(fault.change));
    const absl::Status status = parse(changed.dump()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << fault.change;
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(fault.message)) << fault.change;
  }
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_MODEL_CHECKPOINT_JSON_FAULT_H_
