#include "server/rpc/diffusion_service.h"

#include <memory>
#include <utility>

#include "server/rpc/call_scope.h"
#include "server/rpc/generate_images_reactor.h"
#include "server/rpc/generate_reactor.h"
#include "server/rpc/proto_conversion.h"
#include "server/rpc/status_mapping.h"

namespace diffusiond {
namespace {

// A call that is answered where it arrives.
class ImmediateReactor final : public grpc::ServerUnaryReactor {
 public:
  ImmediateReactor(std::shared_ptr<const ServiceContext> context, const char* method,
                   const grpc::CallbackServerContext& rpc)
      : scope_(std::move(context), method, rpc.peer()) {}

  template <typename Answer>
  ImmediateReactor* Run(Answer answer) {
    status_ = scope_.Admission();
    if (status_.ok()) status_ = answer();
    Finish(ToGrpcStatus(status_));
    return this;
  }

  void OnDone() override {
    scope_.End(status_);
    delete this;
  }

 private:
  CallScope scope_;
  absl::Status status_;
};

}  // namespace

DiffusionServiceImpl::DiffusionServiceImpl(std::shared_ptr<const ServiceContext> context)
    : context_(std::move(context)) {}

grpc::ServerWriteReactor<v1::GenerateEvent>* DiffusionServiceImpl::Generate(
    grpc::CallbackServerContext* rpc, const v1::GenerateRequest* request) {
  return GenerateReactor::Start(context_, rpc, *request);
}

grpc::ServerUnaryReactor* DiffusionServiceImpl::GenerateImages(
    grpc::CallbackServerContext* rpc, const v1::GenerateRequest* request,
    v1::GenerateImagesResponse* response) {
  return GenerateImagesReactor::Start(context_, rpc, *request, response);
}

grpc::ServerUnaryReactor* DiffusionServiceImpl::ListModels(grpc::CallbackServerContext* rpc,
                                                           const v1::ListModelsRequest*,
                                                           v1::ListModelsResponse* response) {
  return (new ImmediateReactor(context_, "ListModels", *rpc))->Run([this, response] {
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
  return (new ImmediateReactor(context_, "GetModel", *rpc))->Run([this, request, response] {
    const auto model = context_->catalog->Find(request->model());
    if (model.ok()) *response = ToProto(**model, context_->limits);
    return model.status();
  });
}

}  // namespace diffusiond
