#include "server/connections/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>

namespace diffusiond {

int MakeRoomForConnections(int connections) {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return connections;
  const rlim_t wanted = static_cast<rlim_t>(connections) + kDescriptorsForOthers;
  if (limit.rlim_cur < wanted) {
    limit.rlim_cur = std::min(wanted, limit.rlim_max);
    setrlimit(RLIMIT_NOFILE, &limit);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return connections;
  }
  if (limit.rlim_cur >= wanted) return connections;
  // Under a limit this low the others get half.
  const rlim_t others = std::min<rlim_t>(kDescriptorsForOthers, limit.rlim_cur / 2);
  return std::max(1, static_cast<int>(limit.rlim_cur - others));
}

}  // namespace diffusiond
