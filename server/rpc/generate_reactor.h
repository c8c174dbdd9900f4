// The stream of one Generate call.
#ifndef DIFFUSIOND_SERVER_RPC_GENERATE_REACTOR_H_
#define DIFFUSIOND_SERVER_RPC_GENERATE_REACTOR_H_

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/engine/generation.h"
#include "server/rpc/call_scope.h"
#include "server/rpc/generation_run.h"
#include "server/rpc/service_context.h"
#include "server/rpc/stall_watch.h"
#include "server/rpc/stream_messages.h"

namespace diffusiond {

// Writes what waits in its GenerationRun, one event at a time, and finishes when the generation is
// over and nothing waits. Owned by itself until gRPC's OnDone; the run, which the engine knows,
// only wakes it as long as it lives, so either side may go first. Thread-safe; one lock guards all
// state, and is not held while the engine is called.
//
// gRPC never runs a user's reaction on the stack of StartWrite, Finish or TryCancel, so these are
// called with the lock held: no other thread can get between the decision and the call.
class GenerateReactor final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                              public StallWatch::Stream,
                              public std::enable_shared_from_this<GenerateReactor> {
 public:
  // Starts the call: what a CallbackService method returns.
  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Start(
      std::shared_ptr<const ServiceContext> context, grpc::CallbackServerContext* rpc,
      grpc::ByteBuffer request);

  // grpc::ServerWriteReactor:
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  // StallWatch::Stream:
  void EndIfStalledSince(absl::Time limit) override;

 private:
  GenerateReactor(std::shared_ptr<const ServiceContext> context, grpc::CallbackServerContext* rpc);

  // What is told of an event once it is sent.
  struct Sending {
    v1::GenerateEvent::EventCase event = v1::GenerateEvent::EVENT_NOT_SET;
    v1::ImageFormat format = v1::IMAGE_FORMAT_UNSPECIFIED;
    size_t image_bytes = 0;
  };

  void Run(grpc::ByteBuffer request);
  // On one of gRPC's threads, or on a decoder's.
  void PrepareAndSubmit(const Caller& caller, const absl::StatusOr<v1::GenerateRequest>& request);
  bool has_outcome() ABSL_LOCKS_EXCLUDED(mu_);
  // The run may have something new, or have ended. From any thread.
  void OnRunWakes() ABSL_LOCKS_EXCLUDED(mu_);
  void OnPreviewsDropped(int count) ABSL_LOCKS_EXCLUDED(mu_);
  // The engine took the generation: what waits may be sent.
  void Open(GenerationId id);
  // Ends the call without the generation: it was never there, or its client is gone.
  void Abort(absl::Status status);
  void AbortLocked(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Starts the next write or the finish, if it is time for one.
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CountSent(const Sending& sent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Why the client is gone. Takes the lock: gRPC calls OnCancel in any thread, and this is how that
  // thread sees what Run left.
  absl::Status Gone() ABSL_LOCKS_EXCLUDED(mu_);
  void CancelGeneration(absl::Status reason) ABSL_LOCKS_EXCLUDED(mu_);

  const std::shared_ptr<const ServiceContext> context_;
  grpc::CallbackServerContext* const rpc_;  // Valid until OnDone.

  absl::Mutex mu_;
  std::shared_ptr<GenerateReactor> self_ ABSL_GUARDED_BY(mu_);  // Until OnDone.
  CallScope scope_ ABSL_GUARDED_BY(mu_);
  std::optional<GenerationId> generation_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<GenerationRun> run_ ABSL_GUARDED_BY(mu_);      // Null until it was prepared.
  std::optional<StreamMessages> messages_ ABSL_GUARDED_BY(mu_);  // As `run_`.
  // Set once: how the call ends when nothing waits any more.
  std::optional<absl::Status> outcome_ ABSL_GUARDED_BY(mu_);
  bool open_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;   // `current_` is gRPC's until OnWriteDone.
  bool finished_ ABSL_GUARDED_BY(mu_) = false;  // Finish was called.
  bool done_ ABSL_GUARDED_BY(mu_) = false;      // gRPC has let go.
  int previews_dropped_ ABSL_GUARDED_BY(mu_) = 0;
  grpc::ByteBuffer current_ ABSL_GUARDED_BY(mu_);
  Sending sending_ ABSL_GUARDED_BY(mu_);
  absl::Time write_started_ ABSL_GUARDED_BY(mu_);  // Or the finish; real time.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_GENERATE_REACTOR_H_
