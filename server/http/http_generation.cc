#include "server/http/http_generation.h"

#include <exception>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/process/quoted_value.h"
#include "server/http/http_call.h"
#include "server/http/http_errors.h"
#include "server/imaging/frame_encoder.h"
#include "server/rpc/proto_conversion.h"
#include "server/rpc/whole_answer.h"

namespace diffusiond {
namespace {

constexpr char kGenerate[] = "/diffusiond.v1.DiffusionService/Generate";

// Of images: more are not written by who tells the ends of all generations. A megabyte as JSON
// takes 8 ms.
constexpr size_t kWrittenAtOnce = 64 << 10;

// Proxies hold back what they may keep.
HttpHead StreamHead() {
  return {.status = 200,
          .content_type = "text/event-stream",
          .headers = {{"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}}};
}

}  // namespace

std::string ServerSentEvent(const std::string& name, const std::string& data) {
  return absl::StrCat("event: ", name, "\ndata: ", data, "\n\n");
}

void HttpGeneration::Start(std::shared_ptr<const ServiceContext> context, const std::string& method,
                           HttpRequest request, std::shared_ptr<HttpResponder> responder,
                           const Reading& reading) {
  std::make_shared<HttpGeneration>(std::move(context), method, std::move(request),
                                   std::move(responder), reading)
      ->Run();
}

HttpGeneration::HttpGeneration(std::shared_ptr<const ServiceContext> context,
                               const std::string& method, HttpRequest request,
                               std::shared_ptr<HttpResponder> responder, const Reading& reading)
    : context_(std::move(context)),
      request_(std::move(request)),
      responder_(std::move(responder)),
      reading_(reading),
      scope_(context_, method, OriginOf(request_)) {}

void HttpGeneration::Run() {
  // They keep this object until the client has its answer, or is gone.
  const std::shared_ptr<HttpGeneration> self = shared_from_this();
  // The end of an answer lets go of these, also while they run.
  responder_->OnGone([self] { std::shared_ptr<HttpGeneration>(self)->OnGone(); });
  absl::Status admission;
  {
    absl::MutexLock lock(&mu_);
    admission = scope_.Admission();
  }
  if (!admission.ok()) return Refuse(admission);
  const absl::StatusOr<Caller> caller =
      CallerOf(*context_, kGenerate, ShowsOf(request_, *context_->access));
  if (!caller.ok()) return Refuse(caller.status());
  {
    absl::MutexLock lock(&mu_);
    NoteCaller(*caller, scope_);
    address_ = caller->address;
  }
  const size_t bytes = request_.body.size();
  std::shared_ptr<absl::StatusOr<HttpTask>> small;
  if (!reading_.in_turn && bytes <= kReadAtOnce) {
    small = std::make_shared<absl::StatusOr<HttpTask>>(Read());
    if (!small->ok() || !IsDear(*context_, (*small)->request))
      return Prepare(*caller, std::move(*small));
  }
  const absl::Status status = InTurn(*context_, *caller, bytes, [self, caller = *caller, small] {
    self->Prepare(caller, small != nullptr ? std::move(*small) : self->Read());
  });
  if (!status.ok()) Refuse(status);
}

absl::StatusOr<HttpTask> HttpGeneration::Read() {
  absl::StatusOr<HttpTask> task = absl::UnknownError("not read");
  // On a decoder thread nobody else would catch what a library throws at a stranger's bytes.
  try {
    task = reading_.read(request_);
  } catch (const std::exception& error) {
    task = absl::InvalidArgumentError(
        absl::StrCat("the request is not readable: ", QuoteValue(error.what())));
  }
  request_.body = std::string();
  return task;
}

void HttpGeneration::Prepare(const Caller& caller, absl::StatusOr<HttpTask> task) {
  if (!task.ok()) return Refuse(task.status());
  const PreviewSupport previews =
      task->events != nullptr ? PreviewSupport::kAllowed : PreviewSupport::kNotAllowed;
  absl::StatusOr<Submission> submission =
      PrepareSubmission(*context_, caller, task->request, previews);
  if (!submission.ok()) return Refuse(submission.status());
  const std::shared_ptr<HttpGeneration> self = shared_from_this();
  std::shared_ptr<GenerationRun> run;
  {
    absl::MutexLock lock(&mu_);
    if (over_) return;
    NoteSubmission(*context_, *submission, scope_);
    events_ = std::move(task->events);
    whole_ = std::move(task->whole);
    messages_.emplace(scope_.request_id(), submission->request);
    const auto call = [weak = weak_from_this()](const auto& method) {
      if (const auto strong = weak.lock()) method(*strong);
    };
    run_ = run = MakeRun(
        *context_, previews, std::move(submission->request),
        [call] { call([](HttpGeneration& generation) { generation.OnRunWakes(); }); },
        [call, metrics = context_->metrics](int count) {
          metrics->OnPreviewsDropped(count);
          call([count](HttpGeneration& generation) {
            absl::MutexLock in_call(&generation.mu_);
            generation.previews_dropped_ += count;
          });
        });
  }
  const absl::StatusOr<GenerationId> id = Submit(*context_, *std::move(submission), std::move(run));
  if (!id.ok()) return Refuse(id.status());
  responder_->OnTaken([self] { std::shared_ptr<HttpGeneration>(self)->OnRunWakes(); });
  bool gone = false;
  {
    absl::MutexLock lock(&mu_);
    scope_.Accepted();
    generation_ = *id;
    open_ = true;
    gone = over_;
    if (!gone) Advance();
  }
  if (gone) context_->engine->Cancel(*id, absl::CancelledError("the client went away"));
}

void HttpGeneration::OnGone() {
  const absl::Status reason = absl::CancelledError("the client went away");
  std::optional<GenerationId> id;
  {
    absl::MutexLock lock(&mu_);
    if (over_) return;
    over_ = true;
    id = generation_;
    if (run_ != nullptr) run_->Close();
    EndScope(reason);
  }
  if (id.has_value()) context_->engine->Cancel(*id, reason);
}

void HttpGeneration::OnRunWakes() {
  std::optional<GenerationId> to_cancel;
  absl::Status failure;
  {
    absl::MutexLock lock(&mu_);
    if (!open_ || over_) return;
    const std::optional<absl::Status> outcome = run_->outcome();
    // One on this side of the engine (an image that cannot be encoded) must stop it, too.
    if (outcome.has_value() && !outcome->ok()) {
      failure = *outcome;
      to_cancel = generation_;
    }
    Advance();
  }
  if (to_cancel.has_value()) context_->engine->Cancel(*to_cancel, failure);
}

void HttpGeneration::Advance() {
  if (!open_ || over_) return;
  // Before the events: with OK, all of them are there.
  const std::optional<absl::Status> outcome = run_->outcome();
  if (events_ != nullptr) {
    if (SendEvents() && outcome.has_value()) FinishLocked(*outcome);
  } else if (outcome.has_value()) {
    if (!outcome->ok()) return FinishLocked(*outcome);
    SendWhole();
  }
}

// One at a time: meanwhile a newer preview can take the place of one that waits.
bool HttpGeneration::SendEvents() {
  while (responder_->unsent() == 0) {
    std::optional<StreamEvent> next = run_->Next();
    if (!next.has_value()) return true;
    v1::GenerateEvent event = messages_->Of(*std::move(next));
    const bool is_preview = event.has_preview();
    const std::string format = EncodingName(FromProto(event.image().format()));
    const size_t image_bytes = event.image().data().size();
    const bool is_image = event.has_image();
    const std::string piece = events_->Piece(std::move(event));
    if (piece.empty()) continue;
    if (!begun_) Begin();
    if (responder_->Write(piece) != HttpResponder::Written::kTaken) return false;
    if (is_preview) scope_.CountPreview();
    if (is_image) scope_.CountImage(format, image_bytes);
  }
  return false;
}

void HttpGeneration::SendWhole() {
  open_ = false;
  v1::GenerateImagesResponse response = WholeAnswer(*run_, *messages_);
  size_t bytes = 0;
  for (const v1::Image& image : response.images()) {
    scope_.CountImage(EncodingName(FromProto(image.format())), image.data().size());
    bytes += image.data().size();
  }
  if (bytes > kWrittenAtOnce) {
    const auto large = std::make_shared<v1::GenerateImagesResponse>(std::move(response));
    const bool scheduled = context_->decoders->ScheduleAnswer(
        address_, [self = shared_from_this(), large] { self->WriteWhole(std::move(*large)); });
    if (scheduled) return;
    response = std::move(*large);
  }
  Answer(whole_(std::move(response)));
  FinishLocked(absl::OkStatus());
}

// Without the lock: who wakes this meanwhile must not wait.
void HttpGeneration::WriteWhole(v1::GenerateImagesResponse response) {
  std::function<HttpAnswer(v1::GenerateImagesResponse)> whole;
  {
    absl::MutexLock lock(&mu_);
    if (over_) return;
    whole = std::move(whole_);
  }
  HttpAnswer answer = whole(std::move(response));
  absl::MutexLock lock(&mu_);
  if (over_) return;
  Answer(std::move(answer));
  FinishLocked(absl::OkStatus());
}

void HttpGeneration::Begin() {
  begun_ = true;
  HttpHead head = StreamHead();
  scope_.Answered(head.status);
  responder_->Begin(std::move(head));
}

void HttpGeneration::Answer(HttpAnswer answer) {
  scope_.Answered(answer.head.status);
  responder_->Answer(std::move(answer));
}

void HttpGeneration::Refuse(const absl::Status& status) {
  absl::MutexLock lock(&mu_);
  if (over_) return;
  if (run_ != nullptr) run_->Close();
  FinishLocked(status);
}

void HttpGeneration::FinishLocked(const absl::Status& status) {
  over_ = true;
  if (begun_) {
    if (!status.ok()) responder_->Write(events_->ErrorPiece(status));
    responder_->End();
  } else if (!status.ok()) {
    Answer(ErrorAnswer(InNamesOf(reading_.name_of, status)));
  }
  EndScope(status);
}

void HttpGeneration::EndScope(const absl::Status& status) {
  if (previews_dropped_ > 0) scope_.Note("previews_dropped", previews_dropped_);
  std::optional<GenerationTimeline> timeline;
  if (run_ != nullptr) timeline = run_->timeline();
  scope_.End(status, timeline);
}

}  // namespace diffusiond
