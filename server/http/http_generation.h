// One generation whose client speaks HTTP.
#ifndef DIFFUSIOND_SERVER_HTTP_HTTP_GENERATION_H_
#define DIFFUSIOND_SERVER_HTTP_HTTP_GENERATION_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "model/http/http_message.h"
#include "model/http/http_responder.h"
#include "server/engine/generation.h"
#include "server/http/event_writer.h"
#include "server/http/http_errors.h"
#include "server/rpc/call_scope.h"
#include "server/rpc/generation_run.h"
#include "server/rpc/service_context.h"
#include "server/rpc/stream_messages.h"
#include "server/rpc/submission.h"

namespace diffusiond {

// What a request of HTTP comes to.
struct HttpTask {
  v1::GenerateRequest request;
  // One of both: events as they come, or one answer in the end. The latter is written on a decoder
  // thread, if it is large.
  std::unique_ptr<EventWriter> events = nullptr;
  std::function<HttpAnswer(v1::GenerateImagesResponse)> whole = nullptr;
};

// The same path as gRPC's reactors: access, parsing in turn, admission, the engine, and a run from
// which it takes what its client can be sent. Lives until its client has its answer or is gone.
// Thread-safe.
class HttpGeneration : public std::enable_shared_from_this<HttpGeneration> {
 public:
  // How requests of a route become tasks.
  struct Reading {
    // On a decoder thread, if the request is large. Not OK: it is none.
    std::function<absl::StatusOr<HttpTask>(const HttpRequest& request)> read;
    bool in_turn = false;         // On a decoder thread, however small the request is.
    FieldName name_of = nullptr;  // As its client knows fields; null: as GenerateRequest.
  };

  // `method` names the call in metrics and log, "POST /v1/generate".
  static void Start(std::shared_ptr<const ServiceContext> context, const std::string& method,
                    HttpRequest request, std::shared_ptr<HttpResponder> responder,
                    const Reading& reading);

  // For Start.
  HttpGeneration(std::shared_ptr<const ServiceContext> context, const std::string& method,
                 HttpRequest request, std::shared_ptr<HttpResponder> responder,
                 const Reading& reading);

 private:
  void Run();
  // Takes the body along: it may be large, and the answer far off.
  absl::StatusOr<HttpTask> Read();
  void Prepare(const Caller& caller, absl::StatusOr<HttpTask> task);
  void OnGone();
  void OnRunWakes();

  // Sends what there is to send.
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // False: some are left, until what was sent is taken.
  bool SendEvents() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SendWhole() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What is left of that, however long it takes.
  void WriteWhole(v1::GenerateImagesResponse response) ABSL_LOCKS_EXCLUDED(mu_);
  void Begin() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Answer(HttpAnswer answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The end, of an answer that did not begin or is whole but for it.
  void Refuse(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  void FinishLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndScope(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::shared_ptr<const ServiceContext> context_;
  HttpRequest request_;  // Its body until it is read.
  const std::shared_ptr<HttpResponder> responder_;
  const Reading reading_;

  absl::Mutex mu_;
  CallScope scope_ ABSL_GUARDED_BY(mu_);
  std::string address_ ABSL_GUARDED_BY(mu_);  // As Caller has it.
  // As HttpTask has them, once the request is read.
  std::unique_ptr<EventWriter> events_ ABSL_GUARDED_BY(mu_);
  std::function<HttpAnswer(v1::GenerateImagesResponse)> whole_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<GenerationRun> run_ ABSL_GUARDED_BY(mu_);  // Once the request is right.
  std::optional<StreamMessages> messages_ ABSL_GUARDED_BY(mu_);
  std::optional<GenerationId> generation_ ABSL_GUARDED_BY(mu_);  // Once it is admitted.
  // Admitted: what comes may be sent. Until the answer is whole.
  bool open_ ABSL_GUARDED_BY(mu_) = false;
  bool begun_ ABSL_GUARDED_BY(mu_) = false;  // A stream's head is sent.
  bool over_ ABSL_GUARDED_BY(mu_) = false;   // Nothing more is sent.
  int previews_dropped_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_HTTP_GENERATION_H_
