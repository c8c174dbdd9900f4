#include "server/rpc/submission.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "diffusiond/v1/diffusion.grpc.pb.h"
#include "model/process/listening_sockets.h"
#include "model/status/status_macros.h"
#include "proto/metadata_keys.h"
#include "server/engine/refusal.h"
#include "server/rpc/proto_conversion.h"

namespace diffusiond {
namespace {

// A seed drawn for the caller is one that a person can type again.
constexpr uint64_t kDrawnSeedMask = 0xFFFFFFFF;

absl::Time DeadlineOf(const grpc::CallbackServerContext& rpc) {
  const std::chrono::system_clock::time_point deadline = rpc.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return absl::InfiniteFuture();
  return absl::FromChrono(deadline);
}

// Metadata key that names the tenant of a client without an authenticated identity, as a gateway
// before the server may set it.
constexpr size_t kMaxTenantBytes = 128;

constexpr std::chrono::milliseconds kDeadlineSlack(100);

// gRPC's name of the other end without the port: connections of one machine share one part. Those
// of a Unix socket are all of this machine, whatever names they bind.
std::string AddressOf(const std::string& peer) {
  if (absl::StartsWith(peer, "unix")) return "unix:";
  return HostOfPeer(peer);
}

// Empty: not authenticated.
std::string IdentityOf(const grpc::CallbackServerContext& rpc) {
  const std::shared_ptr<const grpc::AuthContext> auth = rpc.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return "";
  const std::vector<grpc::string_ref> identity = auth->GetPeerIdentity();
  return identity.empty() ? "" : std::string(identity[0].data(), identity[0].size());
}

// Where a request counts as coming from: who is known shares nothing with others of its machine.
std::string OriginOf(const grpc::CallbackServerContext& rpc) {
  const std::string identity = IdentityOf(rpc);
  return identity.empty() ? AddressOf(rpc.peer()) : absl::StrCat("identity:", identity);
}

absl::StatusOr<std::string> TenantOf(const grpc::CallbackServerContext& rpc) {
  if (std::string identity = IdentityOf(rpc); !identity.empty()) return identity;
  const auto found = rpc.client_metadata().find(kTenantMetadata);
  if (found == rpc.client_metadata().end()) return AddressOf(rpc.peer());
  if (found->second.empty() || found->second.size() > kMaxTenantBytes) {
    return absl::InvalidArgumentError(absl::StrCat("metadata ", kTenantMetadata, " has ",
                                                   found->second.size(), " bytes, expected 1 .. ",
                                                   kMaxTenantBytes));
  }
  return std::string(found->second.data(), found->second.size());
}

// In which even a photo of 4096 x 4096 pixels is read.
constexpr absl::Duration kPictureRetry = absl::Seconds(1);

// A request without pictures has some hundred bytes.
constexpr size_t kReadAtOnce = 4096;

absl::StatusOr<v1::GenerateRequest> Parse(grpc::ByteBuffer bytes) {
  v1::GenerateRequest request;
  const grpc::Status status =
      grpc::SerializationTraits<v1::GenerateRequest>::Deserialize(&bytes, &request);
  if (status.ok()) return request;
  return absl::InvalidArgumentError("the message is no diffusiond.v1.GenerateRequest");
}

absl::Status Counted(const ServiceContext& context, const absl::Status& status) {
  if (RefusalReasonOf(status).has_value()) context.metrics->OnRefused(status);
  return status;
}

// Plans of more steps are compiled in turn: a tenth of a millisecond for a thousand.
constexpr uint64_t kCompiledAtOnce = 2000;

// Whether to prepare it takes long.
bool IsDear(const v1::GenerateRequest& request) {
  const v1::SamplingOptions& sampling = request.sampling();
  return !request.init_image().empty() || !request.mask().empty() ||
         uint64_t{sampling.steps()} * std::max<uint64_t>(1, sampling.langevin_steps()) >
             kCompiledAtOnce;
}

}  // namespace

grpc::ByteBuffer TakeBytes(const grpc::ByteBuffer& bytes) {
  grpc::ByteBuffer taken;
  // gRPC made it for this call alone, and looks at it no more.
  taken.Swap(const_cast<grpc::ByteBuffer*>(&bytes));
  return taken;
}

absl::StatusOr<Caller> CallerOf(const grpc::CallbackServerContext& rpc) {
  ASSIGN_OR_RETURN(std::string tenant, TenantOf(rpc));
  return Caller{.tenant = std::move(tenant), .address = OriginOf(rpc), .deadline = DeadlineOf(rpc)};
}

absl::Status PrepareInTurn(const ServiceContext& context, const Caller& caller,
                           grpc::ByteBuffer bytes, Prepare prepare) {
  if (bytes.Length() <= kReadAtOnce) {
    const absl::StatusOr<v1::GenerateRequest> request = Parse(bytes);
    if (!request.ok() || !IsDear(*request)) {
      prepare(request);
      return absl::OkStatus();
    }
  }
  absl::StatusOr<MemoryBudget::Hold> hold = context.memory->Take(caller.address, bytes.Length());
  if (!hold.ok()) return Counted(context, hold.status());
  const bool scheduled = context.decoders->Schedule(
      caller.address, [bytes, hold = *std::move(hold), prepare = std::move(prepare)]() mutable {
        grpc::ByteBuffer taken;
        taken.Swap(&bytes);
        prepare(Parse(taken));
      });
  if (scheduled) return absl::OkStatus();
  return Counted(context, Refusal(RefusalReason::kPictures,
                                  "too many requests with pictures or long plans wait to be read "
                                  "(--max_queued_pictures)",
                                  kPictureRetry));
}

absl::StatusOr<Submission> PrepareSubmission(const ServiceContext& context, const Caller& caller,
                                             const v1::GenerateRequest& request,
                                             PreviewSupport previews) {
  ASSIGN_OR_RETURN(GenerationRequest parsed,
                   ParseGenerateRequest(request, *context.catalog, context.limits, previews,
                                        context.random() & kDrawnSeedMask));
  absl::StatusOr<GenerationSpec> spec = MakeGenerationSpec(parsed, caller, *context.memory);
  if (!spec.ok()) return Counted(context, spec.status());
  return Submission{std::move(parsed), *std::move(spec)};
}

void NoteSubmission(const Submission& submission, CallScope& scope) {
  const GenerationRequest& request = submission.request;
  scope.Note("model", request.model->name);
  if (request.model->version > 0) scope.Note("version", absl::StrCat(request.model->version));
  scope.Note("count", absl::StrCat(request.count));
  scope.Note("seed", absl::StrCat(request.seed));
  if (request.class_id.has_value()) scope.Note("class_id", absl::StrCat(*request.class_id));
  scope.Note("guidance_scale", absl::StrCat(request.guidance.scale));
  scope.Note("sampler", request.sampling.sampler);
  scope.Note("steps", absl::StrCat(request.sampling.steps));
  scope.Note("tenant", submission.spec.tenant);
}

std::shared_ptr<GenerationRun> MakeRun(const ServiceContext& context, GenerationRequest request,
                                       std::function<void()> wake,
                                       std::function<void(int)> on_previews_dropped) {
  GenerationRun::Options options;
  options.images = request.count;
  options.image = {.encoding = request.encoding, .max_side = 0, .digest = true};
  options.preview = request.preview.encode;
  options.hold = std::make_shared<const GenerationRequest>(std::move(request));
  options.encode = context.encode;
  options.wake = std::move(wake);
  options.on_previews_dropped = std::move(on_previews_dropped);
  options.now = context.now;
  return std::make_shared<GenerationRun>(std::move(options));
}

absl::Status CancellationReason(const grpc::CallbackServerContext& rpc) {
  // A client gives up at its own deadline, which is a little before what it told the server.
  if (std::chrono::system_clock::now() + kDeadlineSlack >= rpc.deadline()) {
    return absl::DeadlineExceededError("the deadline passed");
  }
  return absl::CancelledError("the client cancelled or went away");
}

}  // namespace diffusiond
