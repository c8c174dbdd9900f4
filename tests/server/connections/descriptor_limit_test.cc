#include "server/connections/descriptor_limit.h"

#include <sys/resource.h>

#include "gtest/gtest.h"
#include "tests/testing/in_child.h"

namespace diffusiond {
namespace {

// What MakeRoomForConnections says under these limits, of HTTP's if any; the child checks the soft
// limit as well.
int RoomUnder(rlim_t soft, rlim_t hard, const Connections& wanted) {
  return InChild([=] {
    const rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return 250;
    const Connections room = MakeRoomForConnections(wanted);
    rlimit now = {};
    getrlimit(RLIMIT_NOFILE, &now);
    if (room.grpc + room.http >= static_cast<int>(now.rlim_cur)) return 251;
    return wanted.http > 0 ? room.http : room.grpc;
  });
}

TEST(MakeRoomForConnections, RaisesTheSoftLimit) {
  EXPECT_EQ(RoomUnder(64, 1024, {.grpc = 200}), 200);
}

TEST(MakeRoomForConnections, LeavesHalfOfALowHardLimitToOthers) {
  EXPECT_EQ(RoomUnder(64, 128, {.grpc = 200}), 64);
}

TEST(MakeRoomForConnections, LeavesAHighLimitAlone) {
  EXPECT_EQ(RoomUnder(600, 600, {.grpc = 10}), 10);
}

TEST(MakeRoomForConnections, CountsThoseOfBothPorts) {
  EXPECT_EQ(RoomUnder(64, 1024, {.grpc = 200, .http = 200}), 200);
  EXPECT_EQ(RoomUnder(64, 128, {.grpc = 300, .http = 100}), 16) << "a quarter of 64";
  EXPECT_EQ(RoomUnder(64, 128, {.grpc = 4096, .http = 1}), 1);
}

}  // namespace
}  // namespace diffusiond
