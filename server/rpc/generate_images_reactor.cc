#include "server/rpc/generate_images_reactor.h"

#include <utility>

#include "diffusiond/v1/diffusion.grpc.pb.h"
#include "server/imaging/frame_encoder.h"
#include "server/rpc/proto_conversion.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/submission.h"
#include "server/rpc/whole_answer.h"

namespace diffusiond {

grpc::ServerUnaryReactor* GenerateImagesReactor::Start(
    std::shared_ptr<const ServiceContext> context, grpc::CallbackServerContext* rpc,
    grpc::ByteBuffer request, grpc::ByteBuffer* response) {
  std::shared_ptr<GenerateImagesReactor> reactor(
      new GenerateImagesReactor(std::move(context), rpc, response));
  reactor->Run(request);
  grpc::ServerUnaryReactor* const refused = reactor->AnswerIfRefused();
  return refused != nullptr ? refused : reactor.get();
}

GenerateImagesReactor::GenerateImagesReactor(std::shared_ptr<const ServiceContext> context,
                                             grpc::CallbackServerContext* rpc,
                                             grpc::ByteBuffer* response)
    : context_(std::move(context)),
      rpc_(rpc),
      scope_(context_, "GenerateImages", OriginOf(*rpc)),
      response_(response) {}

void GenerateImagesReactor::Run(grpc::ByteBuffer request) {
  {
    absl::MutexLock lock(&mu_);
    self_ = shared_from_this();
    if (absl::Status admission = scope_.Admission(); !admission.ok()) return FinishOnce(admission);
  }
  const absl::StatusOr<Caller> caller =
      CallerOf(*context_, "/diffusiond.v1.DiffusionService/GenerateImages", *rpc_);
  absl::Status status = caller.status();
  if (status.ok()) {
    {
      absl::MutexLock lock(&mu_);
      NoteCaller(*caller, scope_);
    }
    status = PrepareInTurn(*context_, *caller, request,
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
  std::shared_ptr<GenerationRun> run;
  {
    absl::MutexLock lock(&mu_);
    if (!submission.ok()) return FinishOnce(submission.status());
    if (outcome_.has_value()) return;
    NoteSubmission(*context_, *submission, scope_);
    messages_.emplace(scope_.request_id(), submission->request);
    run_ = run = MakeRun(
        *context_, PreviewSupport::kNotAllowed, std::move(submission->request),
        [reactor = weak_from_this()] {
          if (const auto self = reactor.lock()) self->OnRunWakes();
        },
        /*on_previews_dropped=*/[](int) {});
  }
  const absl::StatusOr<GenerationId> id = Submit(*context_, *std::move(submission), std::move(run));
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

grpc::ServerUnaryReactor* GenerateImagesReactor::AnswerIfRefused() {
  std::shared_ptr<GenerateImagesReactor> self;  // Goes after the lock.
  absl::MutexLock lock(&mu_);
  is_starting_ = false;
  if (!outcome_.has_value()) return nullptr;
  if (outcome_->ok()) {
    Answer();
    return nullptr;
  }
  grpc::ServerUnaryReactor* const reactor = rpc_->DefaultReactor();  // Once: it is made by that.
  reactor->Finish(EndOfCall(*outcome_, rpc_));
  scope_.End(*outcome_);
  done_ = true;
  self = std::move(self_);
  return reactor;
}

bool GenerateImagesReactor::has_outcome() {
  absl::MutexLock lock(&mu_);
  return outcome_.has_value();
}

void GenerateImagesReactor::FinishOnce(absl::Status status) {
  if (outcome_.has_value()) return;
  outcome_ = std::move(status);
  if (run_ != nullptr) run_->Close();
  if (!is_starting_) Answer();
}

void GenerateImagesReactor::Answer() {
  finish_started_ = absl::Now();
  context_->stalls->Add(weak_from_this());
  Finish(EndOfCall(*outcome_, rpc_));
}

void GenerateImagesReactor::OnCancel() {
  std::optional<GenerationId> id;
  absl::Status reason;
  {
    absl::MutexLock lock(&mu_);
    reason = CancellationReason(*rpc_);
    id = generation_;
    FinishOnce(reason);
  }
  if (id.has_value()) context_->engine->Cancel(*id, reason);
}

void GenerateImagesReactor::OnDone() {
  std::shared_ptr<GenerateImagesReactor> self;
  absl::MutexLock lock(&mu_);
  done_ = true;
  std::optional<GenerationTimeline> timeline;
  if (run_ != nullptr) timeline = run_->timeline();
  scope_.End(outcome_.value_or(absl::UnknownError("the call ended before it was answered")),
             timeline);
  self = std::move(self_);
}

void GenerateImagesReactor::OnRunWakes() {
  std::optional<GenerationId> to_cancel;
  absl::Status status;
  {
    absl::MutexLock lock(&mu_);
    const std::optional<absl::Status> ended = run_->outcome();
    if (outcome_.has_value() || !ended.has_value()) return;
    status = *ended;
    if (status.ok()) {
      const v1::GenerateImagesResponse response = WholeAnswer(*run_, *messages_);
      for (const v1::Image& image : response.images()) {
        scope_.CountImage(EncodingName(FromProto(image.format())), image.data().size());
      }
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
