// The model that a request asks for.
#ifndef DIFFUSIOND_SERVER_RPC_REQUESTED_MODEL_H_
#define DIFFUSIOND_SERVER_RPC_REQUESTED_MODEL_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/models/model_catalog.h"

namespace diffusiond {

// As ModelCatalog::Find; its INVALID_ARGUMENT comes with a violation of the field `model`.
absl::StatusOr<ModelCatalog::Model> RequestedModel(const ModelCatalog& catalog,
                                                   const std::string& name,
                                                   const std::string& digest = "");

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_REQUESTED_MODEL_H_
