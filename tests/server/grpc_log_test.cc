#include "server/grpc_log.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "grpc/support/log.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_clock.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class GrpcLogTest : public ::testing::Test {
 protected:
  GrpcLogTest()
      : log_(std::make_unique<GrpcLog>(CallLog::Options{
            .refusals_per_second = 2,
            .now = clock_.AsFunction(),
            .log = [this](const LogRecord& record) { lines_.push_back(record.Text()); }})) {
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);  // gRPC's own choice, once it is in use.
  }

  FakeClock clock_;
  std::vector<std::string> lines_;
  std::unique_ptr<GrpcLog> log_;
};

TEST_F(GrpcLogTest, WritesSoManyErrorsASecondAndCountsTheRest) {
  for (int i = 0; i < 100; ++i) gpr_log(GPR_ERROR, "no such algorithm \"%s\"\n", "x");
  EXPECT_THAT(lines_, ElementsAre(AllOf(StartsWith("grpc severity=E at="),
                                        HasSubstr("message=\"no such algorithm \\\"x\\\"\\n\"")),
                                  HasSubstr("no such algorithm")));
  clock_.Advance(absl::Seconds(1));
  gpr_log(GPR_ERROR, "one more");
  ASSERT_THAT(lines_, SizeIs(4));
  EXPECT_THAT(lines_[2], AllOf(StartsWith("refused left_out=98 "), HasSubstr(" gRPC=98")));
}

TEST_F(GrpcLogTest, LimitsNothingThatIsAskedFor) {
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_DEBUG);
  for (int i = 0; i < 100; ++i) gpr_log(GPR_INFO, "as GRPC_VERBOSITY says");
  EXPECT_THAT(lines_, SizeIs(100));
}

TEST_F(GrpcLogTest, EndsWithItsObject) {
  log_.reset();
  gpr_log(GPR_ERROR, "to standard error");
  EXPECT_THAT(lines_, IsEmpty());
}

}  // namespace
}  // namespace diffusiond
