#include "server/rpc/submission.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
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

void NoteParameters(const GenerationRequest& request, CallScope& scope) {
  scope.Note("model", request.model->name);
  scope.Note("count", absl::StrCat(request.count));
  scope.Note("seed", absl::StrCat(request.seed));
  if (request.class_id.has_value()) scope.Note("class_id", absl::StrCat(*request.class_id));
  scope.Note("guidance_scale", absl::StrCat(request.guidance_scale));
  scope.Note("sampler", request.sampling.sampler);
  scope.Note("steps", absl::StrCat(request.sampling.steps));
}

}  // namespace

absl::StatusOr<Submission> PrepareSubmission(const ServiceContext& context,
                                             const grpc::CallbackServerContext& rpc,
                                             const v1::GenerateRequest& request,
                                             PreviewSupport previews, CallScope& scope) {
  if (absl::Status admission = scope.Admission(); !admission.ok()) return admission;
  absl::StatusOr<GenerationRequest> parsed = ParseGenerateRequest(
      request, *context.catalog, context.limits, previews, context.random() & kDrawnSeedMask);
  if (!parsed.ok()) return parsed.status();
  NoteParameters(*parsed, scope);
  absl::StatusOr<GenerationSpec> spec = MakeGenerationSpec(*parsed, DeadlineOf(rpc));
  if (!spec.ok()) return spec.status();
  return Submission{*std::move(parsed), *std::move(spec)};
}

v1::Accepted MakeAccepted(const std::string& request_id, const GenerationRequest& request) {
  v1::Accepted accepted;
  accepted.set_request_id(request_id);
  *accepted.mutable_parameters() = ToProto(request);
  accepted.set_width(static_cast<uint32_t>(request.model->width));
  accepted.set_height(static_cast<uint32_t>(request.model->height));
  accepted.set_channels(static_cast<uint32_t>(request.model->channels));
  return accepted;
}

absl::StatusOr<GenerationId> Submit(const ServiceContext& context, Submission submission,
                                    const std::string& request_id,
                                    std::shared_ptr<GenerationSink> sink) {
  auto run = std::make_shared<GenerationRun>(request_id, std::move(submission.request),
                                             context.encoders, std::move(sink), context.now);
  return context.engine->Submit(std::move(submission.spec), std::move(run));
}

absl::Status CancellationReason(const grpc::CallbackServerContext& rpc) {
  if (std::chrono::system_clock::now() >= rpc.deadline()) {
    return absl::DeadlineExceededError("the deadline passed");
  }
  return absl::CancelledError("the client cancelled or went away");
}

}  // namespace diffusiond
