#include "model/process/machine_memory.h"

#include <cstdint>
#include <limits>

#include "gtest/gtest.h"
#include "tests/model/checkpoint/scratch_directory.h"

namespace diffusiond {
namespace {

class MachineMemoryTest : public ::testing::Test {
 protected:
  MachineMemoryTest() {
    WriteWholeFile(root_ / "proc/meminfo",
                   "MemTotal:        1000 kB\nMemFree:            1 kB\nMemAvailable:  2 kB\n");
  }

  ScratchDirectory root_;
};

TEST_F(MachineMemoryTest, IsThePhysicalMemoryWithoutALimit) {
  EXPECT_EQ(MachineMemory(root_.path()), 1'024'000);
  WriteWholeFile(root_ / "proc/self/cgroup", "0::/\n");
  WriteWholeFile(root_ / "sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(MachineMemory(root_.path()), 1'024'000);
  std::filesystem::remove(root_ / "proc/meminfo");
  EXPECT_EQ(MachineMemory(root_.path()), std::numeric_limits<int64_t>::max());
}

TEST_F(MachineMemoryTest, IsTheLeastLimitOfTheGroupsAbove) {
  WriteWholeFile(root_ / "proc/self/cgroup", "0::/pods/mine\n");
  WriteWholeFile(root_ / "sys/fs/cgroup/pods/mine/memory.max", "max\n");
  WriteWholeFile(root_ / "sys/fs/cgroup/pods/memory.max", "300000\n");
  EXPECT_EQ(MachineMemory(root_.path()), 300'000);
  WriteWholeFile(root_ / "sys/fs/cgroup/pods/mine/memory.max", "200000\n");
  EXPECT_EQ(MachineMemory(root_.path()), 200'000);
}

// In a container the own group may be at the mount, whatever path it has outside.
TEST_F(MachineMemoryTest, IsTheLimitAtTheMount) {
  WriteWholeFile(root_ / "proc/self/cgroup", "0::/../outside\n");
  WriteWholeFile(root_ / "sys/fs/cgroup/memory.max", "100000\n");
  EXPECT_EQ(MachineMemory(root_.path()), 100'000);
}

TEST_F(MachineMemoryTest, IsTheLimitOfVersionOne) {
  WriteWholeFile(root_ / "proc/self/cgroup", "9:cpu,memory:/docker/1\n3:pids:/x\n");
  WriteWholeFile(root_ / "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "400000\n");
  WriteWholeFile(root_ / "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(MachineMemory(root_.path()), 400'000);
}

}  // namespace
}  // namespace diffusiond
