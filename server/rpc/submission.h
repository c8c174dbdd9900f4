// From a GenerateRequest to a generation in the engine: the part that streams and unary calls
// share.
#ifndef DIFFUSIOND_SERVER_RPC_SUBMISSION_H_
#define DIFFUSIOND_SERVER_RPC_SUBMISSION_H_

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

// Refuses while draining; parses; compiles the plan. Notes the parameters in the call's log line.
absl::StatusOr<Submission> PrepareSubmission(const ServiceContext& context,
                                             const grpc::CallbackServerContext& rpc,
                                             const v1::GenerateRequest& request,
                                             PreviewSupport previews, CallScope& scope);

v1::Accepted MakeAccepted(const std::string& request_id, const GenerationRequest& request);

// Hands the generation to the engine; `sink` may be called before this returns.
absl::StatusOr<GenerationId> Submit(const ServiceContext& context, Submission submission,
                                    const std::string& request_id,
                                    std::shared_ptr<GenerationSink> sink);

// Why a call whose client went away ends.
absl::Status CancellationReason(const grpc::CallbackServerContext& rpc);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_SUBMISSION_H_
