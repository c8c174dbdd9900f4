#include "server/http/server_state.h"

#include <cstdint>

namespace diffusiond {

nlohmann::ordered_json ServerStateJson(const WorkState& work, const ServerStateLimits& limits,
                                       absl::Duration uptime) {
  using Json = nlohmann::ordered_json;
  Json models = Json::array();
  int64_t step_batches = 0, network_passes = 0;
  for (const auto& [name, model] : work.models) {
    step_batches += model.step_batches;
    network_passes += model.network_passes;
    models.push_back({{"model", name},
                      {"stepBatches", model.step_batches},
                      {"networkPasses", model.network_passes}});
  }
  return {{"uptimeSeconds", absl::ToDoubleSeconds(uptime)},
          {"waitingTrajectories", work.waiting},
          {"residentTrajectories", work.resident},
          {"residentTrajectoriesLimit", work.resident_limit},
          {"trajectoriesLimit", limits.trajectories},
          {"workers", work.workers},
          {"workersUp", work.workers_up},
          {"stepBatches", step_batches},
          {"networkPasses", network_passes},
          {"models", models}};
}

}  // namespace diffusiond
