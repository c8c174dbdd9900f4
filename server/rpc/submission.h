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
#include "grpcpp/support/byte_buffer.h"
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

// What gRPC's buffer holds; the buffer itself lives, empty, for as long as its call.
grpc::ByteBuffer TakeBytes(const grpc::ByteBuffer& bytes);

// INVALID_ARGUMENT: the metadata that names the tenant is wrong.
absl::StatusOr<Caller> CallerOf(const grpc::CallbackServerContext& rpc);

// Has `prepare` called with the request, or with INVALID_ARGUMENT if `bytes` are none: at once, or
// by a decoder thread if it is large, its plan long, or there are pictures to read. A Refusal:
// never, too many wait.
using Prepare = std::function<void(const absl::StatusOr<v1::GenerateRequest>&)>;
absl::Status PrepareInTurn(const ServiceContext& context, const Caller& caller,
                           grpc::ByteBuffer bytes, Prepare prepare);

// Parses; reads pictures; compiles the plan.
absl::StatusOr<Submission> PrepareSubmission(const ServiceContext& context, const Caller& caller,
                                             const v1::GenerateRequest& request,
                                             PreviewSupport previews);

// Adds the parameters to the call's log line.
void NoteSubmission(const Submission& submission, CallScope& scope);

// What the engine tells of it. `wake` and `on_previews_dropped` as GenerationRun::Options has them.
std::shared_ptr<GenerationRun> MakeRun(const ServiceContext& context, GenerationRequest request,
                                       std::function<void()> wake,
                                       std::function<void(int)> on_previews_dropped);

// Why a call whose client went away ends.
absl::Status CancellationReason(const grpc::CallbackServerContext& rpc);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_SUBMISSION_H_
