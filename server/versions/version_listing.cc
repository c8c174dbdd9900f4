// What VersionManager tells operators of the models' versions.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/checkpoint/model_versions.h"
#include "server/versions/version_manager.h"

namespace diffusiond {
namespace {

std::vector<VersionInfo> InOrder(std::map<int, VersionInfo> versions) {
  std::vector<VersionInfo> ascending;
  for (auto& [version, info] : versions) {
    info.version = version;
    ascending.push_back(std::move(info));
  }
  return ascending;
}

}  // namespace

absl::StatusOr<std::vector<ModelVersionsInfo>> VersionManager::ListModelVersions(
    const std::string& name) {
  const absl::StatusOr<RepositoryListing> listing = ListModelRepository(options_.repository);
  if (!listing.ok()) return listing.status();
  std::vector<ModelVersionsInfo> models;
  for (const ModelDirectory& directory : listing->models) {
    if (name.empty() || directory.name == name) models.push_back(Describe(directory));
  }
  for (const RefusedDirectory& directory : listing->refused) {
    if (name.empty() || directory.name == name) models.push_back(Describe(directory));
  }
  if (models.empty()) {
    return absl::NotFoundError(
        name.empty()
            ? absl::StrCat("the repository ", options_.repository.string(), " holds no model yet")
            : absl::StrCat("the repository has no model of the name \"", name, "\""));
  }
  std::sort(models.begin(), models.end(),
            [](const ModelVersionsInfo& a, const ModelVersionsInfo& b) { return a.name < b.name; });
  return models;
}

void VersionManager::AddLoaded(const Roll& roll, std::map<int, VersionInfo>* versions) {
  for (const std::shared_ptr<Version>& loaded : roll.loaded) {
    VersionInfo& info = (*versions)[loaded->version];
    info.state = loaded == roll.serving      ? VersionInfo::State::kServing
                 : loaded->served != nullptr ? VersionInfo::State::kKept
                                             : VersionInfo::State::kDraining;
    info.digest = loaded->digest;
  }
}

ModelVersionsInfo VersionManager::Describe(const ModelDirectory& directory) const {
  std::map<int, VersionInfo> versions;
  for (const int version : directory.versions) {
    VersionInfo& info = versions[version];
    const absl::StatusOr<std::filesystem::path> path = directory.VersionPath(version);
    if (!path.ok()) continue;
    const auto record = ReadVersionRecord(*path);
    if (record.ok() && record->has_value()) {
      info.digest = (*record)->digest;
      info.published = (*record)->published;
    }
  }
  ModelVersionsInfo model;
  model.name = directory.name;
  if (directory.pinned.ok()) model.pinned = *directory.pinned;
  {
    absl::MutexLock lock(&mu_);
    const auto found = rolls_.find(directory.name);
    if (found != rolls_.end()) {
      const Roll& roll = found->second;
      model.held = roll.held;
      for (const auto& [version, refusal] : roll.refused) {
        versions[version].state = VersionInfo::State::kRefused;
        versions[version].refusal = std::string(refusal.reason.message());
      }
      AddLoaded(roll, &versions);
      model.problem = roll.problem;
    }
  }
  if (!directory.folders.others.empty() && directory.numbered) {
    absl::StrAppend(&model.problem, model.problem.empty() ? "" : "; ",
                    NoVersions(directory.folders.others));
  }
  model.versions = InOrder(std::move(versions));
  return model;
}

ModelVersionsInfo VersionManager::Describe(const RefusedDirectory& directory) const {
  ModelVersionsInfo model;
  model.name = directory.name;
  model.problem = std::string(directory.reason.message());
  std::map<int, VersionInfo> versions;
  {
    absl::MutexLock lock(&mu_);
    const auto found = rolls_.find(directory.name);
    if (found != rolls_.end()) AddLoaded(found->second, &versions);
  }
  model.versions = InOrder(std::move(versions));
  return model;
}

}  // namespace diffusiond
