#include "server/connections/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>

namespace diffusiond {
namespace {

// How many connections of so many there are descriptors for.
int64_t RoomFor(int64_t connections) {
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
  return static_cast<int64_t>(limit.rlim_cur - others);
}

}  // namespace

Connections MakeRoomForConnections(const Connections& wanted) {
  const int64_t all = int64_t{wanted.grpc} + wanted.http;
  const int64_t room = RoomFor(all);
  if (room >= all) return wanted;
  const auto part = [&](int connections) {
    return connections == 0 ? 0 : std::max(1, static_cast<int>(room * connections / all));
  };
  return {.grpc = part(wanted.grpc), .http = part(wanted.http)};
}

}  // namespace diffusiond
