// diffusiond.v1.DiffusionService over gRPC's callback API.
#ifndef DIFFUSIOND_SERVER_RPC_DIFFUSION_SERVICE_H_
#define DIFFUSIOND_SERVER_RPC_DIFFUSION_SERVICE_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "diffusiond/v1/diffusion.grpc.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/rpc/call_scope.h"
#include "server/rpc/service_context.h"

namespace diffusiond {

// Requests that may be large come as bytes, to be parsed in turn: reading four megabytes of fields
// that nobody knows takes as long as drawing.
using CallbackService = v1::DiffusionService::WithRawCallbackMethod_Generate<
    v1::DiffusionService::WithRawCallbackMethod_GenerateImages<
        v1::DiffusionService::WithCallbackMethod_ListModels<
            v1::DiffusionService::WithCallbackMethod_GetModel<v1::DiffusionService::Service>>>>;

// Thread-safe. No method blocks gRPC's threads.
class DiffusionServiceImpl final : public CallbackService {
 public:
  explicit DiffusionServiceImpl(std::shared_ptr<const ServiceContext> context);

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Generate(grpc::CallbackServerContext* rpc,
                                                       const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* GenerateImages(grpc::CallbackServerContext* rpc,
                                           const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* rpc,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* rpc,
                                     const v1::GetModelRequest* request,
                                     v1::Model* response) override;

 private:
  absl::Status Admit(absl::string_view path, const grpc::CallbackServerContext& rpc,
                     CallScope& scope) const;

  const std::shared_ptr<const ServiceContext> context_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_DIFFUSION_SERVICE_H_
