// The models that requests can name.
#ifndef DIFFUSIOND_SERVER_RPC_MODEL_CATALOG_H_
#define DIFFUSIOND_SERVER_RPC_MODEL_CATALOG_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/rpc/served_model.h"

namespace diffusiond {

// Thread-safe. A model that was handed out stays valid after it was removed or replaced.
class ModelCatalog {
 public:
  // Adds a model, or replaces the one of the same name.
  void Put(ServedModel model);
  void Remove(const std::string& name);

  bool empty() const;

  // By name.
  std::vector<std::shared_ptr<const ServedModel>> List() const;

  // The model of that name; for "" the only model. NOT_FOUND names the models that there are.
  // INVALID_ARGUMENT (with a violation of field `model`): "" while there are several.
  absl::StatusOr<std::shared_ptr<const ServedModel>> Find(const std::string& name) const;

 private:
  std::string Names() const ABSL_SHARED_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  std::map<std::string, std::shared_ptr<const ServedModel>> models_ ABSL_GUARDED_BY(mu_);
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_MODEL_CATALOG_H_
