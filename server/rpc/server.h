// The gRPC server: the diffusion service, health, reflection, and an orderly end.
#ifndef DIFFUSIOND_SERVER_RPC_SERVER_H_
#define DIFFUSIOND_SERVER_RPC_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "grpcpp/server.h"
#include "server/access/access_control.h"
#include "server/engine/engine.h"
#include "server/logging/access_log.h"
#include "server/logging/log_record.h"
#include "server/models/model_catalog.h"
#include "server/rpc/access_gate.h"
#include "server/rpc/call_log.h"
#include "server/rpc/call_tracker.h"
#include "server/rpc/diffusion_service.h"
#include "server/rpc/rpc_metrics.h"
#include "server/rpc/server_port.h"
#include "server/rpc/service_context.h"
#include "server/rpc/stall_watch.h"
#include "server/rpc/transport_limits.h"
#include "server/tracing/tracer.h"

namespace diffusiond {

// What a liveness probe asks health for: a server that drains is alive, one without workers not.
inline constexpr char kLivenessService[] = "liveness";

// Thread-safe once it listens; before, SetWorkersRunning and OnCatalogChanged are. Serves from
// Listen to destruction.
class Server {
 public:
  struct Options {
    // host:port or [IPv6]:port, port 0 for any free one. Empty: only InProcessChannel.
    std::string listen_address = "127.0.0.1:50051";
    RequestLimits limits;
    // A stream hears of an image's progress at most once in so long, and of its last step.
    absl::Duration progress_interval = absl::ZeroDuration();
    TransportLimits transport;
    // An answer of which the client takes nothing for this long is cancelled. Infinite: never.
    absl::Duration stall_timeout = absl::Minutes(2);
    // Between the drain's beginning, which closes the port, and telling connections to go.
    absl::Duration lame_duck = absl::ZeroDuration();
    DecoderPool::Options decoders;
    // What requests may hold while they wait and run: start pictures, masks, noise, plans,
    // and answers until they are taken.
    size_t max_waiting_bytes = size_t{256} << 20;
    GenerationRun::Encode encode = EncodeFrame;
    std::function<uint64_t()> random = RandomNumber;
    std::function<absl::Time()> now = absl::Now;
    LogSink log;  // Unset: nothing is logged.
    // Lines a second of calls that were refused, as CallLog has it; those left out are counted.
    int refusals_logged_per_second = 10;
    // Takes the lines of calls, but for those that somebody should look at. Not owned, outlives the
    // server; null: they go to `log`.
    AccessLog* access_log = nullptr;
    Tracer::Options tracing;
    // Who may call what, and TLS. Not owned, outlives the server; null: everybody, in plaintext.
    AccessControl* access = nullptr;
    bool reflection = true;  // Whether the server tells how its API looks.
  };

  // Create, then Listen. Errors of both.
  static absl::StatusOr<std::unique_ptr<Server>> Start(Options options, Engine* engine,
                                                       const ModelCatalog* catalog,
                                                       RpcMetrics* metrics);

  // A server that can be told of workers and models, and does not listen yet. INVALID_ARGUMENT: of
  // the options.
  // Dependencies are not owned and outlive the server; `metrics` may be null. When the server goes,
  // generations of calls that were cut off may still report to `engine` and `metrics`: shut the
  // engine down before those go.
  static absl::StatusOr<std::unique_ptr<Server>> Create(Options options, Engine* engine,
                                                        const ModelCatalog* catalog,
                                                        RpcMetrics* metrics);

  // To be called once. UNAVAILABLE: the address cannot be listened on.
  absl::Status Listen();

  // Cuts off what still runs, after a second's grace.
  ~Server();

  // The port listened on; 0 without a TCP address.
  int port() const { return port_ != nullptr ? port_->port() : 0; }

  std::shared_ptr<grpc::Channel> InProcessChannel();

  // What calls of other protocols work with, too.
  const std::shared_ptr<const ServiceContext>& context() const { return context_; }

  int running_calls() const { return calls_.active(); }
  int64_t seen_calls() const { return calls_.entered(); }

  // Health is SERVING, for "" and for the service, while workers run, the catalog has a model and
  // the server does not drain; for kLivenessService while workers run. To be called when one of the
  // first two changes; initially there are no workers.
  void SetWorkersRunning(bool running);
  void OnCatalogChanged();

  // Whether health says so, for "".
  bool IsServing();

  // Another protocol's port, whose calls go through context(). It stays open until after the drain,
  // for whoever asks how the server does.
  struct OtherFront {
    std::function<void()> leave;       // Tells who is answered to come no more by this connection.
    std::function<void()> close_idle;  // Closes connections that have no call.
    std::function<int()> count_open;
  };
  void SetOtherFront(OtherFront front) { other_front_ = std::move(front); }  // Before Drain.

  // Health goes NOT_SERVING, the port is closed and connections are told to go (GOAWAY): new calls
  // find another replica, while what runs goes on, and so does what was on its way just then: calls
  // are taken until the last connection without one has gone, or for two seconds. What is called
  // all the same after that is refused with UNAVAILABLE. Waits until the running calls are answered
  // or until `deadline`, then ends them with UNAVAILABLE. True if all ended by themselves.
  bool Drain(absl::Time deadline);

 private:
  Server(Options options, Engine* engine, const ModelCatalog* catalog,
         std::unique_ptr<DecoderPool> decoders, RpcMetrics* metrics);
  std::shared_ptr<const ServiceContext> MakeContext();
  // Closes the port, and serves those who came by it until they have gone or had time to.
  void LetConnectionsGo(absl::Time deadline);
  // Closes the port and takes no more calls. Once.
  void SendAway();
  bool Serves() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void UpdateHealth() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Options options_;
  Engine* const engine_;
  const ModelCatalog* const catalog_;
  RpcMetrics no_metrics_;
  RpcMetrics* const metrics_;
  CallLog log_;
  const Tracer tracer_;
  const std::unique_ptr<AccessControl> open_to_all_;  // Unless the options have another.
  AccessControl* const access_;
  const AccessGate gate_;
  MemoryBudget memory_;
  std::unique_ptr<DecoderPool> decoders_;
  CallTracker calls_;
  StallWatch stalls_;
  const std::shared_ptr<const ServiceContext> context_;
  DiffusionServiceImpl service_;
  // Null before Listen, which sets it under mu_: health may be told of meanwhile.
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<ServerPort> port_;  // Null: only InProcessChannel.
  std::optional<OtherFront> other_front_;
  std::thread shutdown_;  // Waits for the last call.

  absl::Mutex mu_;
  bool workers_running_ ABSL_GUARDED_BY(mu_) = false;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool shut_down_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_SERVER_H_
