// From a GenerateRequest to a generation in the engine: the part that streams and unary calls
// share.
#ifndef DIFFUSIOND_SERVER_RPC_SUBMISSION_H_
#define DIFFUSIOND_SERVER_RPC_SUBMISSION_H_

#include <functional>
#include <memory>
#include <optional>
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
  // Of the minute of who asks; null: of nobody's.
  std::unique_ptr<IdentityQuotas::Charge> charge;
  GenerationRequest request;
  GenerationSpec spec;
};

// What gRPC's buffer holds; the buffer itself lives, empty, for as long as its call.
grpc::ByteBuffer TakeBytes(const grpc::ByteBuffer& bytes);

// What a call shows of who makes it, whatever protocol it comes by.
struct CallShows {
  Credential credential = {};
  std::string peer = {};                   // As CallOrigin has it.
  std::optional<std::string> tenant = {};  // That it names itself, by metadata or header.
  absl::Time deadline = absl::InfiniteFuture();
};

// `path` as AccessGate has it. INVALID_ARGUMENT: what names the tenant is wrong; else as the gate.
absl::StatusOr<Caller> CallerOf(const ServiceContext& context, absl::string_view path,
                                const CallShows& shows);
absl::StatusOr<Caller> CallerOf(const ServiceContext& context, absl::string_view path,
                                const grpc::CallbackServerContext& rpc);

// A larger request is parsed in turn; one without pictures has some hundred bytes.
inline constexpr size_t kReadAtOnce = 4096;

// Whether to prepare it takes long: its plan is long, what it leaves unset as its model has it, or
// there are pictures to read.
bool IsDear(const ServiceContext& context, const v1::GenerateRequest& request);

// Has `work`, of a request of so many bytes, done by a decoder thread when its turn comes. A
// Refusal: never, too many wait.
absl::Status InTurn(const ServiceContext& context, const Caller& caller, size_t bytes,
                    std::function<void()> work);

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

// What a call brings of where it comes from.
CallOrigin OriginOf(const grpc::CallbackServerContext& rpc);

// Each adds to the call's log line: who asks; the parameters.
void NoteIdentity(const AccessIdentity* identity, CallScope& scope);  // May be null.
void NoteCaller(const Caller& caller, CallScope& scope);
void NoteSubmission(const ServiceContext& context, const Submission& submission, CallScope& scope);

// What the engine tells of it, with the steps that a trace shows; where previews are not allowed
// nobody hears of progress either. `wake` and `on_previews_dropped` as GenerationRun::Options has
// them.
std::shared_ptr<GenerationRun> MakeRun(const ServiceContext& context, PreviewSupport previews,
                                       GenerationRequest request, std::function<void()> wake,
                                       std::function<void(int)> on_previews_dropped);

// To the engine, as it has it; what is admitted is charged.
absl::StatusOr<GenerationId> Submit(const ServiceContext& context, Submission submission,
                                    std::shared_ptr<GenerationRun> run);

// Why a call whose client went away ends.
absl::Status CancellationReason(const grpc::CallbackServerContext& rpc);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_SUBMISSION_H_
