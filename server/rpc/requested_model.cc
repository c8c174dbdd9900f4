#include "server/rpc/requested_model.h"

#include "server/rpc/field_violations.h"

namespace diffusiond {

absl::StatusOr<ModelCatalog::Model> RequestedModel(const ModelCatalog& catalog,
                                                   const std::string& name,
                                                   const std::string& digest) {
  absl::StatusOr<ModelCatalog::Model> model = catalog.Find(name, digest);
  if (!absl::IsInvalidArgument(model.status())) return model;
  FieldViolations violations;
  violations.Add("model", model.status().message());
  return violations.ToStatus();
}

}  // namespace diffusiond
