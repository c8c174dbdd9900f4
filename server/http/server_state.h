// GET /v1/state: how much the server has to do and has done, for a page that shows it.
#ifndef DIFFUSIOND_SERVER_HTTP_SERVER_STATE_H_
#define DIFFUSIOND_SERVER_HTTP_SERVER_STATE_H_

#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "server/engine/work_state.h"

namespace diffusiond {

// What does not change from one answer to the next.
struct ServerStateLimits {
  int trajectories = 0;  // Images that may wait and be in progress together.
};

// Gauges are of now, counters since the start: who asks twice knows rates, by `uptimeSeconds`.
//   {"uptimeSeconds": 12.3, "waitingTrajectories": 3, "residentTrajectories": 8,
//    "residentTrajectoriesLimit": 256, "trajectoriesLimit": 1024, "workers": 1, "workersUp": 1,
//    "stepBatches": 60, "networkPasses": 480,
//    "models": [{"model": "clothes", "stepBatches": 60, "networkPasses": 480}]}
nlohmann::ordered_json ServerStateJson(const WorkState& work, const ServerStateLimits& limits,
                                       absl::Duration uptime);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_SERVER_STATE_H_
