#include "model/training/distributed/worker_environment.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

// Beyond any cluster; keeps the numbers within what collectives count with.
constexpr int kMaxWorkers = 100000;

std::string Text(const std::function<const char*(const char*)>& get, const char* name) {
  const char* value = get(name);
  return value == nullptr ? "" : value;
}

absl::Status ReadNumber(const char* name, const std::string& text, int least, int most, int* out) {
  if (absl::SimpleAtoi(text, out) && *out >= least && *out <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the environment variable ", name, " is \"", text,
                                                 "\"; with WORLD_SIZE above 1 ", "it must be ",
                                                 least, " .. ", most));
}

}  // namespace

absl::StatusOr<WorkerEnvironment> ReadWorkerEnvironment(
    const std::function<const char*(const char*)>& get) {
  WorkerEnvironment workers;
  const std::string size = Text(get, "WORLD_SIZE");
  if (size.empty()) return workers;
  absl::Status status = ReadNumber("WORLD_SIZE", size, 1, kMaxWorkers, &workers.size);
  if (!status.ok() || !workers.distributed()) {
    return status.ok() ? absl::StatusOr<WorkerEnvironment>(workers) : status;
  }
  const char* rank_name = get("RANK") == nullptr && get("JOB_COMPLETION_INDEX") != nullptr
                              ? "JOB_COMPLETION_INDEX"
                              : "RANK";
  status = ReadNumber(rank_name, Text(get, rank_name), 0, workers.size - 1, &workers.rank);
  const std::string local_size = Text(get, "LOCAL_WORLD_SIZE");
  if (status.ok() && !local_size.empty()) {
    status = ReadNumber("LOCAL_WORLD_SIZE", local_size, 1, workers.size, &workers.local_size);
  }
  const std::string local_rank = Text(get, "LOCAL_RANK");
  if (status.ok() && !local_rank.empty()) {
    status = ReadNumber("LOCAL_RANK", local_rank, 0, workers.size - 1, &workers.local_rank);
  }
  if (status.ok()) {
    status = ReadNumber("MASTER_PORT", Text(get, "MASTER_PORT"), 1, 65535, &workers.master_port);
  }
  workers.master_address = Text(get, "MASTER_ADDR");
  if (status.ok() && workers.master_address.empty()) {
    status = absl::InvalidArgumentError(
        "the environment variable MASTER_ADDR is not set; with WORLD_SIZE above 1 it must name the "
        "machine of rank 0");
  }
  if (!status.ok()) return status;
  workers.launcher_listens = Text(get, "TORCHELASTIC_USE_AGENT_STORE") == "True";
  workers.attempt = Text(get, "TORCHELASTIC_RESTART_COUNT");
  return workers;
}

}  // namespace diffusiond
