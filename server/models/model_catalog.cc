#include "server/models/model_catalog.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/process/quoted_value.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// "version 3 (digest 0123456789ab)".
std::string Shown(const ServedModel& model) {
  constexpr size_t kDigestShown = 12;
  return absl::StrCat(
      model.version > 0 ? absl::StrCat("version ", model.version, " (") : std::string("one ("),
      "digest ", model.digest.substr(0, kDigestShown), ")");
}

}  // namespace

void ModelCatalog::Put(ServedModel model) {
  Put(std::make_shared<const ServedModel>(std::move(model)), {});
}

void ModelCatalog::Put(Model serving, std::vector<Model> others) {
  const std::string name = serving->name;
  Entry replaced = {std::move(serving), std::move(others)};  // Destroyed after the lock.
  absl::MutexLock lock(&mu_);
  std::swap(models_[name], replaced);
}

void ModelCatalog::Remove(const std::string& name) {
  Entry removed;  // Destroyed after the lock.
  absl::MutexLock lock(&mu_);
  const auto found = models_.find(name);
  if (found == models_.end()) return;
  removed = std::move(found->second);
  models_.erase(found);
}

bool ModelCatalog::empty() const {
  absl::ReaderMutexLock lock(&mu_);
  return models_.empty();
}

std::vector<ModelCatalog::Model> ModelCatalog::List() const {
  absl::ReaderMutexLock lock(&mu_);
  std::vector<Model> models;
  for (const auto& [name, entry] : models_) models.push_back(entry.serving);
  return models;
}

std::string ModelCatalog::default_model() const {
  absl::ReaderMutexLock lock(&mu_);
  const absl::StatusOr<const Entry*> entry = FindEntry("");
  return entry.ok() ? (*entry)->serving->name : "";
}

absl::StatusOr<ModelCatalog::Model> ModelCatalog::Find(const std::string& name,
                                                       const std::string& digest) const {
  absl::ReaderMutexLock lock(&mu_);
  ASSIGN_OR_RETURN(const Entry* entry, FindEntry(name));
  const auto& [serving, others] = *entry;
  if (digest.empty() || serving->digest == digest) return serving;
  for (const Model& other : others) {
    if (other->digest == digest) return other;
  }
  std::string loaded = absl::StrCat(Shown(*serving), ", which is served");
  for (const Model& other : others) absl::StrAppend(&loaded, ", ", Shown(*other));
  return absl::FailedPreconditionError(absl::StrCat("model ", serving->name, " with digest ",
                                                    QuoteValue(digest),
                                                    " is not loaded; there is: ", loaded));
}

absl::StatusOr<const ModelCatalog::Entry*> ModelCatalog::FindEntry(const std::string& name) const {
  if (models_.empty()) {
    return absl::UnavailableError("no model is loaded yet; try another replica, or later");
  }
  if (name.empty()) {
    const auto chosen = models_.find(chosen_default_);
    if (chosen != models_.end()) return &chosen->second;
    // Another model's images in its place would be a surprise.
    if (!chosen_default_.empty()) {
      return absl::UnavailableError(
          absl::StrCat("the default model, ", QuoteValue(chosen_default_),
                       ", is not loaded; try later, or name one of: ", Names()));
    }
    if (models_.size() == 1) return &models_.begin()->second;
    return absl::InvalidArgumentError(absl::StrCat(
        "is empty while several are loaded, none of them by --default_model; name one: ", Names()));
  }
  const auto found = models_.find(name);
  if (found == models_.end()) {
    return absl::NotFoundError(
        absl::StrCat("no model is named ", QuoteValue(name), ", there are: ", Names()));
  }
  return &found->second;
}

std::string ModelCatalog::Names() const {
  constexpr size_t kMaxNamesShown = 20;
  std::vector<std::string> names;
  for (const auto& [name, entry] : models_) {
    if (names.size() == kMaxNamesShown) {
      names.push_back("...");
      break;
    }
    names.push_back(QuoteValue(name));
  }
  return absl::StrJoin(names, ", ");
}

}  // namespace diffusiond
