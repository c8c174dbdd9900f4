#include "server/rpc/model_catalog.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/rpc/field_violations.h"

namespace diffusiond {

void ModelCatalog::Put(ServedModel model) {
  auto shared = std::make_shared<const ServedModel>(std::move(model));
  absl::MutexLock lock(&mu_);
  models_.insert_or_assign(shared->name, shared);
}

void ModelCatalog::Remove(const std::string& name) {
  absl::MutexLock lock(&mu_);
  models_.erase(name);
}

bool ModelCatalog::empty() const {
  absl::ReaderMutexLock lock(&mu_);
  return models_.empty();
}

std::vector<std::shared_ptr<const ServedModel>> ModelCatalog::List() const {
  absl::ReaderMutexLock lock(&mu_);
  std::vector<std::shared_ptr<const ServedModel>> models;
  for (const auto& [name, model] : models_) models.push_back(model);
  return models;
}

absl::StatusOr<std::shared_ptr<const ServedModel>> ModelCatalog::Find(
    const std::string& name) const {
  absl::ReaderMutexLock lock(&mu_);
  if (models_.empty()) return absl::NotFoundError("no model is loaded");
  if (name.empty()) {
    if (models_.size() == 1) return models_.begin()->second;
    FieldViolations violations;
    violations.Add("model", absl::StrCat("is empty while several are loaded: ", Names()));
    return violations.ToStatus();
  }
  const auto found = models_.find(name);
  if (found == models_.end()) {
    return absl::NotFoundError(
        absl::StrCat("no model is named ", QuoteValue(name), ", there are: ", Names()));
  }
  return found->second;
}

std::string ModelCatalog::Names() const {
  constexpr size_t kMaxNamesShown = 20;
  std::vector<std::string> names;
  for (const auto& [name, model] : models_) {
    if (names.size() == kMaxNamesShown) {
      names.push_back("...");
      break;
    }
    names.push_back(QuoteValue(name));
  }
  return absl::StrJoin(names, ", ");
}

}  // namespace diffusiond
