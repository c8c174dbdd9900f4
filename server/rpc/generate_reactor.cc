#include "server/rpc/generate_reactor.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "diffusiond/v1/diffusion.grpc.pb.h"
#include "server/imaging/frame_encoder.h"
#include "server/rpc/proto_conversion.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/submission.h"

namespace diffusiond {

grpc::ServerWriteReactor<grpc::ByteBuffer>* GenerateReactor::Start(
    std::shared_ptr<const ServiceContext> context, grpc::CallbackServerContext* rpc,
    grpc::ByteBuffer request) {
  // Lives at least as long as this function, which gRPC's OnDone cannot precede.
  std::shared_ptr<GenerateReactor> reactor(new GenerateReactor(std::move(context), rpc));
  reactor->Run(request);
  return reactor.get();
}

GenerateReactor::GenerateReactor(std::shared_ptr<const ServiceContext> context,
                                 grpc::CallbackServerContext* rpc)
    : context_(std::move(context)), rpc_(rpc), scope_(context_, "Generate", OriginOf(*rpc)) {}

void GenerateReactor::Run(grpc::ByteBuffer request) {
  absl::Status admission;
  {
    absl::MutexLock lock(&mu_);
    self_ = shared_from_this();
    admission = scope_.Admission();
  }
  if (!admission.ok()) return Abort(admission);
  const absl::StatusOr<Caller> caller =
      CallerOf(*context_, "/diffusiond.v1.DiffusionService/Generate", *rpc_);
  if (!caller.ok()) return Abort(caller.status());
  {
    absl::MutexLock lock(&mu_);
    NoteCaller(*caller, scope_);
  }
  const absl::Status status =
      PrepareInTurn(*context_, *caller, request,
                    [self = shared_from_this(),
                     caller = *caller](const absl::StatusOr<v1::GenerateRequest>& in_turn) {
                      self->PrepareAndSubmit(caller, in_turn);
                    });
  if (!status.ok()) Abort(status);
}

void GenerateReactor::PrepareAndSubmit(const Caller& caller,
                                       const absl::StatusOr<v1::GenerateRequest>& request) {
  if (has_outcome()) return;  // Its client went away meanwhile.
  if (!request.ok()) return Abort(request.status());
  absl::StatusOr<Submission> submission =
      PrepareSubmission(*context_, caller, *request, PreviewSupport::kAllowed);
  if (!submission.ok()) return Abort(submission.status());
  std::shared_ptr<GenerationRun> run;
  {
    absl::MutexLock lock(&mu_);
    if (outcome_.has_value()) return;
    NoteSubmission(*context_, *submission, scope_);
    messages_.emplace(scope_.request_id(), submission->request);
    const auto call = [reactor = weak_from_this()](const auto& method) {
      if (const auto self = reactor.lock()) method(*self);
    };
    run_ = run = MakeRun(
        *context_, PreviewSupport::kAllowed, std::move(submission->request),
        [call] { call([](GenerateReactor& self) { self.OnRunWakes(); }); },
        [call](int count) { call([&](GenerateReactor& self) { self.OnPreviewsDropped(count); }); });
  }
  const absl::StatusOr<GenerationId> id = Submit(*context_, *std::move(submission), std::move(run));
  if (!id.ok()) return Abort(id.status());
  context_->stalls->Add(weak_from_this());
  Open(*id);
}

bool GenerateReactor::has_outcome() {
  absl::MutexLock lock(&mu_);
  return outcome_.has_value();
}

void GenerateReactor::Open(GenerationId id) {
  absl::Status reason;
  {
    absl::MutexLock lock(&mu_);
    scope_.Accepted();
    generation_ = id;
    open_ = true;
    if (outcome_.has_value()) reason = *outcome_;
    Advance();
  }
  if (!reason.ok()) CancelGeneration(reason);
}

void GenerateReactor::Abort(absl::Status status) {
  absl::MutexLock lock(&mu_);
  AbortLocked(std::move(status));
}

void GenerateReactor::AbortLocked(absl::Status status) {
  if (run_ != nullptr) run_->Close();
  open_ = true;
  if (!outcome_.has_value() || outcome_->ok()) outcome_ = std::move(status);
  Advance();
}

void GenerateReactor::Advance() {
  if (!open_ || writing_ || finished_) return;
  std::optional<StreamEvent> next;
  if (run_ != nullptr) next = run_->Next();
  if (next.has_value()) {
    const v1::GenerateEvent event = messages_->Of(*std::move(next));
    sending_ = {.event = event.event_case(),
                .format = event.image().format(),
                .image_bytes = event.image().data().size()};
    bool owned = false;
    grpc::SerializationTraits<v1::GenerateEvent>::Serialize(event, &current_, &owned);
    writing_ = true;
    write_started_ = absl::Now();
    StartWrite(&current_);
    return;
  }
  if (!outcome_.has_value()) return;
  finished_ = true;
  write_started_ = absl::Now();
  Finish(EndOfCall(*outcome_, rpc_));
}

void GenerateReactor::OnWriteDone(bool ok) {
  if (!ok) CancelGeneration(Gone());
  absl::MutexLock lock(&mu_);
  writing_ = false;
  if (ok) CountSent(sending_);
  current_.Clear();
  if (!ok) return AbortLocked(CancellationReason(*rpc_));
  Advance();
}

void GenerateReactor::OnCancel() {
  const absl::Status reason = Gone();
  CancelGeneration(reason);
  Abort(reason);
}

absl::Status GenerateReactor::Gone() {
  absl::MutexLock lock(&mu_);
  return CancellationReason(*rpc_);
}

void GenerateReactor::CancelGeneration(absl::Status reason) {
  std::optional<GenerationId> id;
  {
    absl::MutexLock lock(&mu_);
    id = generation_;
  }
  if (id.has_value()) context_->engine->Cancel(*id, std::move(reason));
}

void GenerateReactor::OnDone() {
  std::shared_ptr<GenerateReactor> self;  // Goes after the lock.
  absl::MutexLock lock(&mu_);
  done_ = true;
  if (previews_dropped_ > 0) scope_.Note("previews_dropped", previews_dropped_);
  std::optional<GenerationTimeline> timeline;
  if (run_ != nullptr) timeline = run_->timeline();
  scope_.End(outcome_.value_or(absl::UnknownError("the call ended before it was answered")),
             timeline);
  self = std::move(self_);
}

void GenerateReactor::OnRunWakes() {
  absl::Status failure;
  {
    absl::MutexLock lock(&mu_);
    if (!outcome_.has_value()) {
      outcome_ = run_->outcome();
      if (outcome_.has_value()) failure = *outcome_;
    }
    Advance();
  }
  // One on this side of the engine (an image that cannot be encoded) must stop it, too.
  if (!failure.ok()) CancelGeneration(failure);
}

void GenerateReactor::OnPreviewsDropped(int count) {
  absl::MutexLock lock(&mu_);
  previews_dropped_ += count;
  context_->metrics->OnPreviewsDropped(count);
}

void GenerateReactor::CountSent(const Sending& sent) {
  if (sent.event == v1::GenerateEvent::kImage) {
    scope_.CountImage(EncodingName(FromProto(sent.format)), sent.image_bytes);
  } else if (sent.event == v1::GenerateEvent::kPreview) {
    scope_.CountPreview();
  }
}

void GenerateReactor::EndIfStalledSince(absl::Time limit) {
  absl::MutexLock lock(&mu_);
  if (done_ || !(writing_ || finished_) || write_started_ > limit) return;
  if (finished_) outcome_ = StalledSince(write_started_);
  AbortLocked(StalledSince(write_started_));
  // Ends the pending write; OnCancel frees the generation's rows.
  rpc_->TryCancel();
}

}  // namespace diffusiond
