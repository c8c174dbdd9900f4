#include "server/rpc/method_rights.h"

#include <utility>

namespace diffusiond {
namespace {

constexpr std::pair<absl::string_view, Right> kRights[] = {
    {"/diffusiond.v1.DiffusionService/Generate", Right::kGenerate},
    {"/diffusiond.v1.DiffusionService/GenerateImages", Right::kGenerate},
    {"/diffusiond.v1.DiffusionService/ListModels", Right::kRead},
    {"/diffusiond.v1.DiffusionService/GetModel", Right::kRead},
    {"/diffusiond.v1.ModelAdmin/ListVersions", Right::kAdmin},
    {"/diffusiond.v1.ModelAdmin/LoadVersion", Right::kAdmin},
    {"/diffusiond.v1.ModelAdmin/Rollback", Right::kAdmin},
};

// Load balancers and kubelets have no token; what reflection tells stands in proto/, and a server
// that is not to tell it has none (--reflection).
constexpr absl::string_view kOpen[] = {
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
};

}  // namespace

MethodRule RuleOf(absl::string_view path) {
  for (const absl::string_view open : kOpen) {
    if (path == open) return {.open = true};
  }
  for (const auto& [method, right] : kRights) {
    if (path == method) return {.open = false, .right = right};
  }
  return {};
}

}  // namespace diffusiond
