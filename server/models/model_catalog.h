// The models that requests can name.
#ifndef DIFFUSIOND_SERVER_MODELS_MODEL_CATALOG_H_
#define DIFFUSIOND_SERVER_MODELS_MODEL_CATALOG_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/models/served_model.h"

namespace diffusiond {

// Thread-safe. A model that was handed out stays valid after it was removed or replaced.
class ModelCatalog {
 public:
  using Model = std::shared_ptr<const ServedModel>;

  // `default_model`: what a request that names none gets; UNAVAILABLE while it is not loaded.
  // Empty: the only model.
  explicit ModelCatalog(std::string default_model = "")
      : chosen_default_(std::move(default_model)) {}

  // Adds a model, or replaces the one of the same name and its other versions, in one step: what
  // was found before goes on as it was, what is found from now on is this one.
  void Put(ServedModel model);
  // `others`: versions of the same name that only who asks for their digest gets.
  void Put(Model serving, std::vector<Model> others);
  void Remove(const std::string& name);

  bool empty() const;

  // By name.
  std::vector<Model> List() const;

  // What "" finds: the chosen default, or without it the only model. Empty: there is neither.
  std::string default_model() const;

  // The model of that name; for "" the default one. With `digest`, the version of it that has this
  // digest. NOT_FOUND names the models that there are. INVALID_ARGUMENT (what is
  // wrong with `name`): "" while there are several and none is the default. FAILED_PRECONDITION
  // names the versions that are loaded: none has that digest. UNAVAILABLE: there is no model at all
  // yet.
  absl::StatusOr<Model> Find(const std::string& name, const std::string& digest = "") const;

 private:
  struct Entry {
    Model serving;
    std::vector<Model> others;
  };

  absl::StatusOr<const Entry*> FindEntry(const std::string& name) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  std::string Names() const ABSL_SHARED_LOCKS_REQUIRED(mu_);

  const std::string chosen_default_;
  mutable absl::Mutex mu_;
  std::map<std::string, Entry> models_ ABSL_GUARDED_BY(mu_);
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_MODELS_MODEL_CATALOG_H_
