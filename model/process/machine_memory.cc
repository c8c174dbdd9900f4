#include "model/process/machine_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

// "MemTotal:       24063456 kB".
int64_t PhysicalMemory(const fs::path& root) {
  std::ifstream file(root / "proc/meminfo");
  std::string field;
  int64_t kibibytes = 0;
  while (file >> field) {
    if (field == "MemTotal:" && file >> kibibytes && kibibytes > 0) return kibibytes * 1024;
  }
  return kUnlimited;
}

// A file that says a number of bytes. "max", and what is no number: no limit.
int64_t LimitIn(const fs::path& path) {
  std::ifstream file(path);
  int64_t bytes = 0;
  return file >> bytes && bytes > 0 ? bytes : kUnlimited;
}

// Of a group and all above it. In a container the group's path may be the host's; its own group is
// then at the mount itself, which is looked at in any case.
int64_t GroupLimit(const fs::path& mount, std::string group, const char* limit) {
  int64_t least = LimitIn(mount / limit);
  while (!group.empty() && group != "/") {
    least = std::min(least, LimitIn(fs::path(mount.string() + group) / limit));
    group = fs::path(group).parent_path().string();
  }
  return least;
}

}  // namespace

int64_t MachineMemory(const fs::path& root) {
  int64_t least = PhysicalMemory(root);
  // "0::/user.slice" of version 2, "9:memory:/docker/3f2a" of version 1.
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min(least, GroupLimit(root / "sys/fs/cgroup", group, "memory.max"));
    } else if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      least = std::min(least,
                       GroupLimit(root / "sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
    }
  }
  return least;
}

}  // namespace diffusiond
