#include "server/rpc/status_mapping.h"

#include "absl/strings/cord.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "server/engine/refusal.h"
#include "server/rpc/field_violations.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

TEST(StatusMapping, EveryCodeKeepsItsNumberAndMessage) {
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status =
        ToGrpcStatus(absl::Status(static_cast<absl::StatusCode>(code), "why"));
    EXPECT_EQ(static_cast<int>(status.error_code()), code);
    EXPECT_EQ(status.error_message(), "why");
  }
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
}

TEST(StatusMapping, RetryInfoComesWithRefusalsAlone) {
  const grpc::Status refused =
      ToGrpcStatus(Refusal(RefusalReason::kQueueFull, "full", absl::Milliseconds(2500)));
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(RetryInfoOf(refused).retry_delay().seconds(), 2);
  EXPECT_EQ(RetryInfoOf(refused).retry_delay().nanos(), 500'000'000);
  EXPECT_EQ(ToGrpcStatus(absl::UnavailableError("draining")).error_details(), "");
}

TEST(StatusMapping, ViolationsBecomeABadRequest) {
  FieldViolations violations;
  EXPECT_TRUE(violations.ToStatus().ok());
  violations.Add("steps", "0 is not in 1 .. 1000");
  violations.Add("eta", "2 is not in 0 .. 1");
  const grpc::Status status = ToGrpcStatus(violations.ToStatus());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "steps: 0 is not in 1 .. 1000; eta: 2 is not in 0 .. 1");
  const auto details = BadRequestOf(status);
  ASSERT_EQ(details.field_violations_size(), 2);
  EXPECT_EQ(details.field_violations(1).field(), "eta");
  EXPECT_EQ(details.field_violations(1).description(), "2 is not in 0 .. 1");
}

TEST(StatusMapping, PayloadsOfOthersStayHere) {
  absl::Status status = absl::InternalError("network failed");
  status.SetPayload("internal/stack", absl::Cord("secret"));
  EXPECT_EQ(ToGrpcStatus(status).error_details(), "");
}

}  // namespace
}  // namespace diffusiond
