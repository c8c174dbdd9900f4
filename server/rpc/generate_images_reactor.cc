#include "server/rpc/generate_images_reactor.h"

#include <string>
#include <utility>

#include "diffusiond/v1/diffusion.grpc.pb.h"
#include "server/imaging/frame_encoder.h"
#include "server/rpc/proto_conversion.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/submission.h"

namespace diffusiond {

grpc::ServerUnaryReactor* GenerateImagesReactor::Start(
    std::shared_ptr<const ServiceContext> context, grpc::CallbackServerContext* rpc,
    grpc::ByteBuffer request, grpc::ByteBuffer* response) {
  std::shared_ptr<GenerateImagesReactor> reactor(
      new GenerateImagesReactor(std::move(context), rpc, response));
  reactor->Run(std::move(request));
  return reactor.get();
}

GenerateImagesReactor::GenerateImagesReactor(std::shared_ptr<const ServiceContext> context,
                                             grpc::CallbackServerContext* rpc,
                                             grpc::ByteBuffer* response)
    : context_(std::move(context)),
      rpc_(rpc),
      scope_(context_, "GenerateImages", rpc->peer()),
      response_(response) {}

void GenerateImagesReactor::Run(grpc::ByteBuffer request) {
  {
    absl::MutexLock lock(&mu_);
    self_ = shared_from_this();
    if (absl::Status admission = scope_.Admission(); !admission.ok()) return FinishOnce(admission);
  }
  const absl::StatusOr<Caller> caller = CallerOf(*rpc_);
  absl::Status status = caller.status();
  if (status.ok()) {
    status = PrepareInTurn(*context_, *caller, std::move(request),
                           [self = shared_from_this(),
                            caller = *caller](const absl::StatusOr<v1::GenerateRequest>& in_turn) {
                             self->PrepareAndSubmit(caller, in_turn);
                           });
  }
  if (status.ok()) return;
  absl::MutexLock lock(&mu_);
  FinishOnce(std::move(status));
}

void GenerateImagesReactor::PrepareAndSubmit(const Caller& caller,
                                             const absl::StatusOr<v1::GenerateRequest>& request) {
  if (has_outcome()) return;  // Its client went away meanwhile.
  absl::StatusOr<Submission> submission =
      request.ok() ? PrepareSubmission(*context_, caller, *request, PreviewSupport::kNotAllowed)
                   : absl::StatusOr<Submission>(request.status());
  std::string request_id;
  {
    absl::MutexLock lock(&mu_);
    if (!submission.ok()) return FinishOnce(submission.status());
    if (outcome_.has_value()) return;
    NoteSubmission(*submission, scope_);
    request_id = scope_.request_id();
  }
  const absl::StatusOr<GenerationId> id =
      Submit(*context_, *std::move(submission), request_id, shared_from_this());
  bool failed_already = false;
  {
    absl::MutexLock lock(&mu_);
    if (!id.ok()) return FinishOnce(id.status());
    scope_.Accepted();
    generation_ = *id;
    failed_already = outcome_.has_value() && !outcome_->ok();
  }
  if (failed_already) context_->engine->Cancel(*id, absl::CancelledError("the call failed"));
}

bool GenerateImagesReactor::has_outcome() {
  absl::MutexLock lock(&mu_);
  return outcome_.has_value();
}

void GenerateImagesReactor::FinishOnce(absl::Status status) {
  if (outcome_.has_value()) return;
  outcome_ = std::move(status);
  finish_started_ = absl::Now();
  context_->stalls->Add(weak_from_this());
  Finish(EndOfCall(*outcome_, rpc_));
}

void GenerateImagesReactor::OnCancel() {
  std::optional<GenerationId> id;
  const absl::Status reason = CancellationReason(*rpc_);
  {
    absl::MutexLock lock(&mu_);
    id = generation_;
    FinishOnce(reason);
  }
  if (id.has_value()) context_->engine->Cancel(*id, reason);
}

void GenerateImagesReactor::OnDone() {
  std::shared_ptr<GenerateImagesReactor> self;
  absl::MutexLock lock(&mu_);
  done_ = true;
  scope_.End(outcome_.value_or(absl::UnknownError("the call ended before it was answered")));
  self = std::move(self_);
}

void GenerateImagesReactor::OnImage(v1::Image image) {
  absl::MutexLock lock(&mu_);
  if (outcome_.has_value()) return;
  const uint32_t index = image.image_index();
  images_[index] = std::move(image);
}

void GenerateImagesReactor::OnEnd(absl::Status status, v1::Completed completed) {
  std::optional<GenerationId> to_cancel;
  {
    absl::MutexLock lock(&mu_);
    if (outcome_.has_value()) return;
    if (status.ok()) {
      v1::GenerateImagesResponse response;
      for (auto& [index, image] : images_) {
        context_->metrics->OnImageSent(EncodingName(FromProto(image.format())),
                                       image.data().size());
        *response.add_images() = std::move(image);
      }
      *response.mutable_receipt() = std::move(*completed.mutable_receipt());
      *response.mutable_timings() = std::move(*completed.mutable_timings());
      bool owned = false;
      grpc::SerializationTraits<v1::GenerateImagesResponse>::Serialize(response, response_, &owned);
    } else {
      to_cancel = generation_;
    }
    FinishOnce(status);
  }
  if (to_cancel.has_value()) context_->engine->Cancel(*to_cancel, status);
}

void GenerateImagesReactor::EndIfStalledSince(absl::Time limit) {
  absl::MutexLock lock(&mu_);
  if (done_ || !outcome_.has_value() || finish_started_ > limit) return;
  outcome_ = StalledSince(finish_started_);
  rpc_->TryCancel();
}

}  // namespace diffusiond
