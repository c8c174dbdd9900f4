// What every call of the service works with.
#ifndef DIFFUSIOND_SERVER_RPC_SERVICE_CONTEXT_H_
#define DIFFUSIOND_SERVER_RPC_SERVICE_CONTEXT_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/access/access_control.h"
#include "server/engine/engine.h"
#include "server/engine/memory_budget.h"
#include "server/imaging/decoder_pool.h"
#include "server/logging/access_log.h"
#include "server/models/model_catalog.h"
#include "server/rpc/access_gate.h"
#include "server/rpc/call_log.h"
#include "server/rpc/call_tracker.h"
#include "server/rpc/generation_request.h"
#include "server/rpc/generation_run.h"
#include "server/rpc/rpc_metrics.h"
#include "server/rpc/stall_watch.h"
#include "server/tracing/tracer.h"

namespace diffusiond {

// From the system's entropy; thread-safe.
uint64_t RandomNumber();

// Nothing here is owned. `calls`, `stalls` and `catalog` outlive the gRPC server; engine and
// metrics outlive every generation. Members are thread-safe.
struct ServiceContext {
  Engine* engine = nullptr;
  const ModelCatalog* catalog = nullptr;
  GenerationRun::Encode encode = EncodeFrame;
  DecoderPool* decoders = nullptr;
  MemoryBudget* memory = nullptr;
  CallTracker* calls = nullptr;
  StallWatch* stalls = nullptr;
  RpcMetrics* metrics = nullptr;  // Never null.
  // As ConnectionBook has it, of those of the gRPC port.
  std::function<const char*(const std::string& peer)> call_limit_passed;
  RequestLimits limits;
  absl::Duration progress_interval;                 // As GenerationRun::Options has it, of streams.
  std::function<uint64_t()> random = RandomNumber;  // Seeds and request ids.
  std::function<absl::Time()> now = absl::Now;
  CallLog* log = nullptr;            // Never null; outlives the gRPC server.
  AccessLog* access_log = nullptr;   // Null: lines of calls go to `log`.
  const Tracer* tracer = nullptr;    // Never null; outlives the gRPC server.
  AccessControl* access = nullptr;   // The same.
  const AccessGate* gate = nullptr;  // The same.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_SERVICE_CONTEXT_H_
