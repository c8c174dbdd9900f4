#include "server/rpc/reflection.h"

#include <memory>
#include <string>
#include <vector>

#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/impl/server_builder_option.h"

namespace diffusiond {
namespace {

class WithoutReflection final : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    const std::string unwanted = grpc::reflection::ProtoServerReflectionPlugin().name();
    std::erase_if(*plugins, [&](const auto& plugin) { return plugin->name() == unwanted; });
  }
};

}  // namespace

void SetReflection(bool wanted, grpc::ServerBuilder* builder) {
  if (wanted) {
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  } else {
    builder->SetOption(std::make_unique<WithoutReflection>());
  }
}

}  // namespace diffusiond
