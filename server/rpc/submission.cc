#include "server/rpc/submission.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "diffusiond/v1/diffusion.grpc.pb.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "model/files/sha256.h"
#include "model/process/listening_sockets.h"
#include "model/sampling/sampler.h"
#include "model/status/status_macros.h"
#include "proto/metadata_keys.h"
#include "server/engine/refusal.h"
#include "server/rpc/call_credential.h"
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

// Metadata that names the tenant of a client without an identity, or of one that may speak for
// others, as a gateway before the server does.
constexpr size_t kMaxTenantBytes = 128;

constexpr std::chrono::milliseconds kDeadlineSlack(100);

// gRPC's name of the other end without the port: connections of one machine share one part. Those
// of a Unix socket are all of this machine, whatever names they bind.
std::string AddressOf(const std::string& peer) {
  if (absl::StartsWith(peer, "unix")) return "unix:";
  return HostOfPeer(peer);
}

absl::StatusOr<std::string> TenantShown(const CallShows& shows, const std::string& otherwise) {
  if (!shows.tenant.has_value()) return otherwise;
  if (shows.tenant->empty() || shows.tenant->size() > kMaxTenantBytes) {
    return absl::InvalidArgumentError(absl::StrCat("metadata ", kTenantMetadata, " has ",
                                                   shows.tenant->size(), " bytes, expected 1 .. ",
                                                   kMaxTenantBytes));
  }
  return *shows.tenant;
}

// In which even a photo of 4096 x 4096 pixels is read.
constexpr absl::Duration kPictureRetry = absl::Seconds(1);

absl::StatusOr<v1::GenerateRequest> Parse(grpc::ByteBuffer bytes) {
  // gRPC's way to say that the connection broke first: nobody has asked for anything wrong.
  if (!bytes.Valid()) return absl::CancelledError("the call ended before its request was here");
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

// Plans of more evaluations are compiled in turn: a tenth of a millisecond for a thousand.
constexpr uint64_t kCompiledAtOnce = 2000;

// Of the plan that is asked for; 0: what is wrong is found before it is compiled.
uint64_t PlanEvaluations(const ModelCatalog& catalog, const v1::GenerateRequest& request) {
  const auto model = catalog.Find(request.model(), request.model_digest());
  if (!model.ok()) return 0;
  const v1::SamplingOptions& asked = request.sampling();
  const SamplingOptions& defaults = (*model)->defaults.sampling;
  const Sampler* const sampler =
      FindSampler(asked.has_sampler() ? asked.sampler() : defaults.sampler);
  if (sampler == nullptr) return 0;
  const auto steps = static_cast<uint64_t>(
      asked.has_steps()
          ? int64_t{asked.steps()}
          : DefaultSteps(*sampler, defaults, (*model)->scheduler.num_train_timesteps));
  if (sampler->langevin_steps == 0) return steps;
  const auto langevin = static_cast<uint64_t>(
      asked.has_langevin_steps() ? int64_t{asked.langevin_steps()}
                                 : ForSampler(sampler->name, defaults).langevin_steps);
  return steps * std::max<uint64_t>(1, langevin);
}

// The same for requests that draw the same images, if the model is the same.
std::string ParametersHash(const GenerationRequest& request) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    ToProto(request).SerializeToCodedStream(&coded);
  }
  return Sha256Hex(bytes);
}

}  // namespace

bool IsDear(const ServiceContext& context, const v1::GenerateRequest& request) {
  return !request.init_image().empty() || !request.mask().empty() ||
         PlanEvaluations(*context.catalog, request) > kCompiledAtOnce;
}

grpc::ByteBuffer TakeBytes(const grpc::ByteBuffer& bytes) {
  grpc::ByteBuffer taken;
  // gRPC made it for this call alone, and looks at it no more.
  taken.Swap(const_cast<grpc::ByteBuffer*>(&bytes));
  return taken;
}

absl::StatusOr<Caller> CallerOf(const ServiceContext& context, absl::string_view path,
                                const CallShows& shows) {
  Caller caller = {.tenant = {}, .address = AddressOf(shows.peer), .deadline = shows.deadline};
  ASSIGN_OR_RETURN(caller.identity, context.gate->AdmitRequest(path, shows.credential));
  if (caller.identity == nullptr) {
    ASSIGN_OR_RETURN(caller.tenant, TenantShown(shows, caller.address));
    return caller;
  }
  // Who is known shares nothing with others of its machine.
  caller.address = absl::StrCat("identity:", caller.identity->name);
  caller.tenant = caller.identity->tenant;
  if (caller.identity->impersonate) {
    ASSIGN_OR_RETURN(caller.tenant, TenantShown(shows, caller.tenant));
  }
  return caller;
}

absl::StatusOr<Caller> CallerOf(const ServiceContext& context, absl::string_view path,
                                const grpc::CallbackServerContext& rpc) {
  CallShows shows = {.credential = CredentialOf(rpc, context.access->certificate_name()),
                     .peer = rpc.peer(),
                     .deadline = DeadlineOf(rpc)};
  const auto found = rpc.client_metadata().find(kTenantMetadata);
  if (found != rpc.client_metadata().end()) {
    shows.tenant.emplace(found->second.data(), found->second.size());
  }
  return CallerOf(context, path, shows);
}

absl::Status InTurn(const ServiceContext& context, const Caller& caller, size_t bytes,
                    std::function<void()> work) {
  absl::StatusOr<MemoryBudget::Hold> hold = context.memory->Take(caller.address, bytes);
  if (!hold.ok()) return Counted(context, hold.status());
  const bool scheduled = context.decoders->Schedule(
      caller.address, [hold = *std::move(hold), work = std::move(work)] { work(); });
  if (scheduled) return absl::OkStatus();
  return Counted(context, Refusal(RefusalReason::kPictures,
                                  "too many requests with pictures or long plans wait to be read "
                                  "(--max_queued_pictures)",
                                  kPictureRetry));
}

absl::Status PrepareInTurn(const ServiceContext& context, const Caller& caller,
                           grpc::ByteBuffer bytes, Prepare prepare) {
  if (bytes.Length() <= kReadAtOnce) {
    const absl::StatusOr<v1::GenerateRequest> request = Parse(bytes);
    if (!request.ok() || !IsDear(context, *request)) {
      prepare(request);
      return absl::OkStatus();
    }
  }
  const size_t length = bytes.Length();
  return InTurn(context, caller, length, [bytes, prepare = std::move(prepare)]() mutable {
    grpc::ByteBuffer taken;
    taken.Swap(&bytes);
    prepare(Parse(taken));
  });
}

absl::StatusOr<Submission> PrepareSubmission(const ServiceContext& context, const Caller& caller,
                                             const v1::GenerateRequest& request,
                                             PreviewSupport previews) {
  ASSIGN_OR_RETURN(GenerationRequest parsed,
                   ParseGenerateRequest(request, *context.catalog, context.limits, previews,
                                        context.random() & kDrawnSeedMask));
  std::unique_ptr<IdentityQuotas::Charge> charge;
  if (caller.identity != nullptr) {
    absl::StatusOr<IdentityQuotas::Taken> quota =
        context.access->quotas().Take(*caller.identity, parsed.count);
    if (!quota.ok()) return Counted(context, quota.status());
    parsed.quota = std::move(quota->hold);
    charge = std::move(quota->charge);
  }
  absl::StatusOr<GenerationSpec> spec = MakeGenerationSpec(parsed, caller, *context.memory);
  if (!spec.ok()) return Counted(context, spec.status());
  return Submission{
      .charge = std::move(charge), .request = std::move(parsed), .spec = *std::move(spec)};
}

CallOrigin OriginOf(const grpc::CallbackServerContext& rpc) {
  CallOrigin origin = {.peer = rpc.peer()};
  const auto& metadata = rpc.client_metadata();
  const auto [first, end] = metadata.equal_range(kTraceparent);
  // Of several none is the right one.
  if (first != end && std::next(first) == end) {
    origin.traceparent.assign(first->second.data(), first->second.size());
  }
  const auto [begin_states, end_states] = metadata.equal_range(kTracestate);
  for (auto state = begin_states; state != end_states; ++state) {
    absl::StrAppend(&origin.tracestate, origin.tracestate.empty() ? "" : ",",
                    absl::string_view(state->second.data(), state->second.size()));
  }
  return origin;
}

void NoteIdentity(const AccessIdentity* identity, CallScope& scope) {
  if (identity != nullptr) scope.Note("identity", identity->name);
}

void NoteCaller(const Caller& caller, CallScope& scope) {
  scope.Note("tenant", caller.tenant);
  NoteIdentity(caller.identity.get(), scope);
}

void NoteSubmission(const ServiceContext& context, const Submission& submission, CallScope& scope) {
  const GenerationRequest& request = submission.request;
  scope.Note("model", request.model->name);
  if (request.model->version > 0) scope.Note("version", request.model->version);
  scope.Note("digest", request.model->digest);
  if (context.access_log != nullptr) scope.Note("parameters_sha256", ParametersHash(request));
  scope.Note("count", request.count);
  scope.Note("seed", absl::StrCat(request.seed));  // JSON's readers lose digits of large numbers.
  if (request.class_id.has_value()) scope.Note("class_id", *request.class_id);
  scope.Note("guidance_scale", request.guidance.scale);
  scope.Note("sampler", request.sampling.sampler);
  scope.Note("steps", request.sampling.steps);
}

std::shared_ptr<GenerationRun> MakeRun(const ServiceContext& context, PreviewSupport previews,
                                       GenerationRequest request, std::function<void()> wake,
                                       std::function<void(int)> on_previews_dropped) {
  GenerationRun::Options options;
  options.images = request.count;
  options.image = {.encoding = request.encoding, .max_side = 0, .digest = true};
  options.preview = request.preview.encode;
  options.answer = std::move(request.answer);
  options.hold = std::make_shared<const GenerationRequest>(std::move(request));
  options.encode = context.encode;
  options.wake = std::move(wake);
  options.on_previews_dropped = std::move(on_previews_dropped);
  options.now = context.now;
  options.progress_interval =
      previews == PreviewSupport::kAllowed ? context.progress_interval : absl::InfiniteDuration();
  options.every_steps = context.tracer->every_steps();
  return std::make_shared<GenerationRun>(std::move(options));
}

absl::StatusOr<GenerationId> Submit(const ServiceContext& context, Submission submission,
                                    std::shared_ptr<GenerationRun> run) {
  absl::StatusOr<GenerationId> id =
      context.engine->Submit(std::move(submission.spec), std::move(run));
  if (id.ok() && submission.charge != nullptr) submission.charge->Keep();
  return id;
}

absl::Status CancellationReason(const grpc::CallbackServerContext& rpc) {
  // A client gives up at its own deadline, which is a little before what it told the server.
  if (std::chrono::system_clock::now() + kDeadlineSlack >= rpc.deadline()) {
    return absl::DeadlineExceededError("the deadline passed");
  }
  return absl::CancelledError("the client cancelled or went away");
}

}  // namespace diffusiond
