// From a GenerateRequest to a generation in the engine: the part that streams and unary calls
// share.
#ifndef DIFFUSIOND_SERVER_RPC_SUBMISSION_H_
#define DIFFUSIOND_SERVER_RPC_SUBMISSION_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "grpcpp/server_context.h"
#include "server/engine/generation.h"
#include "server/rpc/call_scope.h"
#include "server/rpc/generation_request.h"
#include "server/rpc/generation_run.h"
#include "server/rpc/service_context.h"

namespace diffusiond {

// A request that was found right, on its way to the engine.
struct Submission {
  GenerationRequest request;
  GenerationSpec spec;
};

// What gRPC's message holds; the message itself lives, empty, for as long as its call.
v1::GenerateRequest TakeMessage(const v1::GenerateRequest& message);

// INVALID_ARGUMENT: the metadata that names the tenant is wrong.
absl::StatusOr<Caller> CallerOf(const grpc::CallbackServerContext& rpc);

// Has `prepare` called with the request: at once, or by a decoder thread if there are pictures to
// read. A Refusal: never, too many wait.
absl::Status PrepareInTurn(const ServiceContext& context, const Caller& caller,
                           v1::GenerateRequest request,
                           std::function<void(const v1::GenerateRequest&)> prepare);

// Parses; reads pictures; compiles the plan.
absl::StatusOr<Submission> PrepareSubmission(const ServiceContext& context, const Caller& caller,
                                             const v1::GenerateRequest& request,
                                             PreviewSupport previews);

// Adds the parameters to the call's log line.
void NoteSubmission(const Submission& submission, CallScope& scope);

v1::Accepted MakeAccepted(const std::string& request_id, const GenerationRequest& request);

// Hands the generation to the engine; `sink` may be called before this returns.
absl::StatusOr<GenerationId> Submit(const ServiceContext& context, Submission submission,
                                    const std::string& request_id,
                                    std::shared_ptr<GenerationSink> sink);

// Why a call whose client went away ends.
absl::Status CancellationReason(const grpc::CallbackServerContext& rpc);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_SUBMISSION_H_
