#include "server/connections/descriptor_limit.h"

#include <sys/resource.h>

#include "gtest/gtest.h"
#include "tests/testing/in_child.h"

namespace diffusiond {
namespace {

// What MakeRoomForConnections says under these limits; the child checks the soft limit as well.
int RoomUnder(rlim_t soft, rlim_t hard, int connections) {
  return InChild([=] {
    const rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return 250;
    const int room = MakeRoomForConnections(connections);
    rlimit now = {};
    getrlimit(RLIMIT_NOFILE, &now);
    return room < static_cast<int>(now.rlim_cur) ? room : 251;
  });
}

TEST(MakeRoomForConnections, RaisesTheSoftLimit) { EXPECT_EQ(RoomUnder(64, 512, 200), 200); }

TEST(MakeRoomForConnections, LeavesHalfOfALowHardLimitToOthers) {
  EXPECT_EQ(RoomUnder(64, 128, 200), 64);
}

TEST(MakeRoomForConnections, LeavesAHighLimitAlone) { EXPECT_EQ(RoomUnder(512, 512, 10), 10); }

}  // namespace
}  // namespace diffusiond
