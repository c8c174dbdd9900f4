#include "model/process/standard_streams.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace diffusiond {
namespace {

const absl::Time kNow = absl::FromUnixMillis(1600000000125);

TEST(StampedTest, EveryLineOfALogHasItsTimeAndLevel) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  EXPECT_EQ(Stamped("one\ntwo\n", "INFO", ends[1], kNow),
            "2020-09-13T12:26:40.125Z INFO one\n2020-09-13T12:26:40.125Z INFO two\n");
  EXPECT_EQ(Stamped("no end", "ERROR", ends[1], kNow), "2020-09-13T12:26:40.125Z ERROR no end");
  EXPECT_EQ(Stamped("", "INFO", ends[1], kNow), "");
  close(ends[0]);
  close(ends[1]);
}

TEST(StampedTest, ATerminalIsSpared) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) GTEST_SKIP() << "no pseudo-terminals here";
  EXPECT_EQ(Stamped("one\ntwo\n", "INFO", terminal, kNow), "one\ntwo\n");
  close(terminal);
}

}  // namespace
}  // namespace diffusiond
