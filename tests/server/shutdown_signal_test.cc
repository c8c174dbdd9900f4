#include "server/shutdown_signal.h"

#include <unistd.h>

#include <csignal>
#include <thread>

#include "gtest/gtest.h"

namespace diffusiond {
namespace {

class ShutdownSignalDeathTest : public ::testing::TestWithParam<int> {
 protected:
  // Children start afresh, without the threads of this process.
  ShutdownSignalDeathTest() { ::testing::GTEST_FLAG(death_test_style) = "threadsafe"; }
};

[[noreturn]] void WaitForTheEnd() {
  while (true) pause();
}

TEST_P(ShutdownSignalDeathTest, IsAnOrderlyRequestWhateverThreadsThereWereBefore) {
  EXPECT_EXIT(
      {
        std::thread(WaitForTheEnd).detach();
        ShutdownSignal shutdown;
        shutdown.Expect();
        kill(getpid(), GetParam());
        _exit(shutdown.Await() == GetParam() ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_P(ShutdownSignalDeathTest, EndsTheProcessAtOnceTheSecondTime) {
  EXPECT_EXIT(
      {
        ShutdownSignal shutdown;
        shutdown.Expect();
        kill(getpid(), SIGTERM);
        shutdown.Await();
        kill(getpid(), GetParam());
        WaitForTheEnd();
      },
      ::testing::ExitedWithCode(128 + GetParam()), "");
}

TEST_P(ShutdownSignalDeathTest, EndsTheProcessAtOnceBeforeItIsExpected) {
  EXPECT_EXIT(
      {
        ShutdownSignal shutdown;
        kill(getpid(), GetParam());
        WaitForTheEnd();
      },
      ::testing::ExitedWithCode(128 + GetParam()), "");
}

TEST(ShutdownSignalHangupDeathTest, IsIgnoredWhereItWasIgnoredBefore) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(
      {
        signal(SIGHUP, SIG_IGN);
        ShutdownSignal shutdown;
        kill(getpid(), SIGHUP);
        _exit(0);
      },
      ::testing::ExitedWithCode(0), "");
}

INSTANTIATE_TEST_SUITE_P(Each, ShutdownSignalDeathTest, ::testing::Values(SIGTERM, SIGINT, SIGHUP));

}  // namespace
}  // namespace diffusiond
