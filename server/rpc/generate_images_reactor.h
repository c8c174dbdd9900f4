// One GenerateImages call: the answer at once, no previews.
#ifndef DIFFUSIOND_SERVER_RPC_GENERATE_IMAGES_REACTOR_H_
#define DIFFUSIOND_SERVER_RPC_GENERATE_IMAGES_REACTOR_H_

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/engine/generation.h"
#include "server/rpc/call_scope.h"
#include "server/rpc/generation_run.h"
#include "server/rpc/service_context.h"
#include "server/rpc/stall_watch.h"
#include "server/rpc/stream_messages.h"

namespace diffusiond {

// Answers with the images of its GenerationRun when the generation is over. Owned and locked as
// GenerateReactor.
class GenerateImagesReactor final : public grpc::ServerUnaryReactor,
                                    public StallWatch::Stream,
                                    public std::enable_shared_from_this<GenerateImagesReactor> {
 public:
  // Starts the call.
  static grpc::ServerUnaryReactor* Start(std::shared_ptr<const ServiceContext> context,
                                         grpc::CallbackServerContext* rpc, grpc::ByteBuffer request,
                                         grpc::ByteBuffer* response);

  // grpc::ServerUnaryReactor:
  void OnCancel() override;
  void OnDone() override;

  // StallWatch::Stream:
  void EndIfStalledSince(absl::Time limit) override;

 private:
  GenerateImagesReactor(std::shared_ptr<const ServiceContext> context,
                        grpc::CallbackServerContext* rpc, grpc::ByteBuffer* response);

  void Run(grpc::ByteBuffer request);
  // On one of gRPC's threads, or on a decoder's.
  void PrepareAndSubmit(const Caller& caller, const absl::StatusOr<v1::GenerateRequest>& request);
  bool has_outcome() ABSL_LOCKS_EXCLUDED(mu_);
  // The run may have ended. From any thread.
  void OnRunWakes() ABSL_LOCKS_EXCLUDED(mu_);
  void FinishOnce(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Answer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ends the start. Not null: the call was refused at once, and answered by this reactor of gRPC's
  // own, which needs no other thread: a fifth of what a flood of refused calls costs. Nobody looks
  // after that answer, which is a few bytes of headers.
  grpc::ServerUnaryReactor* AnswerIfRefused() ABSL_LOCKS_EXCLUDED(mu_);

  const std::shared_ptr<const ServiceContext> context_;
  grpc::CallbackServerContext* const rpc_;  // Valid until OnDone.

  absl::Mutex mu_;
  std::shared_ptr<GenerateImagesReactor> self_ ABSL_GUARDED_BY(mu_);  // Until OnDone.
  CallScope scope_ ABSL_GUARDED_BY(mu_);
  std::optional<GenerationId> generation_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<GenerationRun> run_ ABSL_GUARDED_BY(mu_);      // Null until it was prepared.
  std::optional<StreamMessages> messages_ ABSL_GUARDED_BY(mu_);  // As `run_`.
  bool is_starting_ ABSL_GUARDED_BY(mu_) = true;
  std::optional<absl::Status> outcome_ ABSL_GUARDED_BY(mu_);  // Set: Answer was, or will be.
  absl::Time finish_started_ ABSL_GUARDED_BY(mu_);            // Real time.
  bool done_ ABSL_GUARDED_BY(mu_) = false;                    // gRPC has let go.
  grpc::ByteBuffer* const response_ ABSL_PT_GUARDED_BY(mu_);  // gRPC's after Finish.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_GENERATE_IMAGES_REACTOR_H_
