// diffusiond.v1.DiffusionService over gRPC's callback API.
#ifndef DIFFUSIOND_SERVER_RPC_DIFFUSION_SERVICE_H_
#define DIFFUSIOND_SERVER_RPC_DIFFUSION_SERVICE_H_

#include <memory>

#include "diffusiond/v1/diffusion.grpc.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/rpc/service_context.h"

namespace diffusiond {

// Thread-safe. No method blocks gRPC's threads.
class DiffusionServiceImpl final : public v1::DiffusionService::CallbackService {
 public:
  explicit DiffusionServiceImpl(std::shared_ptr<const ServiceContext> context);

  grpc::ServerWriteReactor<v1::GenerateEvent>* Generate(
      grpc::CallbackServerContext* rpc, const v1::GenerateRequest* request) override;
  grpc::ServerUnaryReactor* GenerateImages(grpc::CallbackServerContext* rpc,
                                           const v1::GenerateRequest* request,
                                           v1::GenerateImagesResponse* response) override;
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* rpc,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* rpc,
                                     const v1::GetModelRequest* request,
                                     v1::Model* response) override;

 private:
  const std::shared_ptr<const ServiceContext> context_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_DIFFUSION_SERVICE_H_
