#include "server/rpc/diffusion_service.h"

#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "model/status/status_macros.h"
#include "server/rpc/call_scope.h"
#include "server/rpc/generate_images_reactor.h"
#include "server/rpc/generate_reactor.h"
#include "server/rpc/proto_conversion.h"
#include "server/rpc/requested_model.h"
#include "server/rpc/stall_watch.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/submission.h"

namespace diffusiond {
namespace {

// A call that is answered where it arrives. Owned by itself until gRPC lets go.
class ImmediateReactor final : public grpc::ServerUnaryReactor,
                               public StallWatch::Stream,
                               public std::enable_shared_from_this<ImmediateReactor> {
 public:
  using Answer = std::function<absl::Status(CallScope&)>;

  // Starts the call.
  static ImmediateReactor* Start(std::shared_ptr<const ServiceContext> context, const char* method,
                                 grpc::CallbackServerContext* rpc, const Answer& answer) {
    const auto reactor = std::make_shared<ImmediateReactor>(std::move(context), method, rpc);
    reactor->Run(answer);
    return reactor.get();
  }

  ImmediateReactor(std::shared_ptr<const ServiceContext> context, const char* method,
                   grpc::CallbackServerContext* rpc)
      : context_(std::move(context)), rpc_(rpc), scope_(context_, method, OriginOf(*rpc)) {}

  void OnDone() override {
    std::shared_ptr<ImmediateReactor> self;  // Goes after the lock.
    absl::MutexLock lock(&mu_);
    done_ = true;
    scope_.End(status_);
    self = std::move(self_);
  }

  // Of the answer, once it waits to be taken.
  void EndIfStalledSince(absl::Time limit) override {
    absl::MutexLock lock(&mu_);
    if (done_ || finish_started_ > limit) return;
    status_ = StalledSince(finish_started_);
    rpc_->TryCancel();
  }

 private:
  void Run(const Answer& answer) {
    absl::MutexLock lock(&mu_);
    self_ = shared_from_this();
    status_ = scope_.Admission();
    if (status_.ok()) status_ = answer(scope_);
    finish_started_ = absl::Now();
    context_->stalls->Add(weak_from_this());
    Finish(ToGrpcStatus(status_));
  }

  const std::shared_ptr<const ServiceContext> context_;
  grpc::CallbackServerContext* const rpc_;  // Valid until OnDone.

  absl::Mutex mu_;
  std::shared_ptr<ImmediateReactor> self_ ABSL_GUARDED_BY(mu_);  // Until OnDone.
  CallScope scope_ ABSL_GUARDED_BY(mu_);
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  absl::Time finish_started_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();  // Real time.
  bool done_ ABSL_GUARDED_BY(mu_) = false;                                   // gRPC has let go.
};

}  // namespace

DiffusionServiceImpl::DiffusionServiceImpl(std::shared_ptr<const ServiceContext> context)
    : context_(std::move(context)) {}

grpc::ServerWriteReactor<grpc::ByteBuffer>* DiffusionServiceImpl::Generate(
    grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request) {
  return GenerateReactor::Start(context_, rpc, TakeBytes(*request));
}

grpc::ServerUnaryReactor* DiffusionServiceImpl::GenerateImages(grpc::CallbackServerContext* rpc,
                                                               const grpc::ByteBuffer* request,
                                                               grpc::ByteBuffer* response) {
  return GenerateImagesReactor::Start(context_, rpc, TakeBytes(*request), response);
}

absl::Status DiffusionServiceImpl::Admit(absl::string_view path,
                                         const grpc::CallbackServerContext& rpc,
                                         CallScope& scope) const {
  ASSIGN_OR_RETURN(const std::shared_ptr<const AccessIdentity> identity,
                   context_->gate->AdmitRequest(path, rpc));
  NoteIdentity(identity.get(), scope);
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* DiffusionServiceImpl::ListModels(grpc::CallbackServerContext* rpc,
                                                           const v1::ListModelsRequest*,
                                                           v1::ListModelsResponse* response) {
  return ImmediateReactor::Start(
      context_, "ListModels", rpc, [this, rpc, response](CallScope& scope) {
        RETURN_IF_ERROR(Admit("/diffusiond.v1.DiffusionService/ListModels", *rpc, scope));
        for (const auto& model : context_->catalog->List()) {
          *response->add_models() = ToProto(*model, context_->limits);
        }
        response->set_default_model(context_->catalog->default_model());
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* DiffusionServiceImpl::GetModel(grpc::CallbackServerContext* rpc,
                                                         const v1::GetModelRequest* request,
                                                         v1::Model* response) {
  return ImmediateReactor::Start(
      context_, "GetModel", rpc, [this, rpc, request, response](CallScope& scope) {
        RETURN_IF_ERROR(Admit("/diffusiond.v1.DiffusionService/GetModel", *rpc, scope));
        const auto model = RequestedModel(*context_->catalog, request->model());
        if (model.ok()) *response = ToProto(**model, context_->limits);
        return model.status();
      });
}

}  // namespace diffusiond
