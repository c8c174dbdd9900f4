// What operators ask of RepositoryFollower.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/checkpoint/model_versions.h"
#include "model/status/status_macros.h"
#include "server/versions/repository_follower.h"
#include "server/versions/version_listing.h"

namespace diffusiond {
namespace {

absl::Status NoModelNamed(const std::string& name) {
  return absl::NotFoundError(
      absl::StrCat("the repository has no model of the name \"", name, "\""));
}

// Whether this server may be told to serve this version; 0: to follow the repository again.
absl::Status CheckHold(const ModelDirectory& directory, int number) {
  if (number == 0) return absl::OkStatus();
  if (!directory.numbered) {
    return absl::FailedPreconditionError(absl::StrCat(
        "model ", directory.name, " has no numbered versions: ", directory.path.string(),
        " is a checkpoint itself"));
  }
  if (directory.pinned.ok() && directory.pinned->value_or(number) != number) {
    return absl::FailedPreconditionError(
        absl::StrCat("model ", directory.name, " is pinned to version ", **directory.pinned, " by ",
                     (directory.path / kPinnedVersionName).string(),
                     "; change that, for it counts for every server and after a restart too"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelDirectory> RepositoryFollower::FindDirectory(const std::string& name) const {
  ASSIGN_OR_RETURN(RepositoryListing listing, ListModelRepository(options_.repository));
  for (ModelDirectory& directory : listing.models) {
    if (directory.name == name) return std::move(directory);
  }
  for (const RefusedDirectory& directory : listing.refused) {
    if (directory.name == name) return directory.reason;
  }
  return NoModelNamed(name);
}

absl::StatusOr<ModelVersionsInfo> RepositoryFollower::LoadVersion(const std::string& name,
                                                                  int number) {
  ASSIGN_OR_RETURN(const ModelDirectory directory, FindDirectory(name));
  RETURN_IF_ERROR(Hold(directory, number));
  return Describe(directory);
}

absl::StatusOr<ModelVersionsInfo> RepositoryFollower::RollBack(const std::string& name,
                                                               int number) {
  ASSIGN_OR_RETURN(const ModelDirectory directory, FindDirectory(name));
  if (number == 0 && directory.numbered) {
    int before;
    {
      absl::MutexLock lock(&mu_);
      before = models_[name].before;
    }
    ASSIGN_OR_RETURN(number, VersionBefore(SituationOf(directory, {}, options_.now()), before));
  }
  if (number == 0) number = 1;  // Not numbered: told so.
  RETURN_IF_ERROR(Hold(directory, number));
  return Describe(directory);
}

absl::Status RepositoryFollower::Hold(const ModelDirectory& directory, int number) {
  const std::string& name = directory.name;
  RETURN_IF_ERROR(CheckHold(directory, number));
  std::optional<int> held;
  std::string problem;
  {
    absl::MutexLock lock(&mu_);
    ModelState& model = models_[name];
    held = std::exchange(model.held, number > 0 ? std::optional<int>(number) : std::nullopt);
    problem = model.problem;
    // Who asks may have mended what the files do not show.
    std::erase_if(model.refused,
                  [number](const auto& refused) { return number == 0 || refused.first == number; });
  }
  const std::shared_ptr<const ModelVersion> before = Serving(name);
  absl::Status status = Follow(directory);
  if (status.ok()) return status;
  const std::shared_ptr<const ModelVersion> serving = Serving(name);
  // The newest that is good: which were refused above it stands in the listing.
  if (number == 0 && serving != before) return absl::OkStatus();
  if (number > 0) {
    // Whoever asked is told why not; with the model all is as it was.
    absl::MutexLock lock(&mu_);
    models_[name].held = held;
    models_[name].problem = problem;
  }
  if (serving == nullptr || serving->number() == 0) return status;
  return absl::Status(status.code(), absl::StrCat(status.message(), "; version ", serving->number(),
                                                  " of ", name, " is served"));
}

ModelVersionsInfo RepositoryFollower::Describe(const ModelDirectory& directory) const {
  ModelVersionsInfo model = DescribeDirectory(directory);
  absl::MutexLock lock(&mu_);
  const auto found = models_.find(directory.name);
  if (found != models_.end()) DescribeState(found->second, &model);
  return model;
}

absl::StatusOr<std::vector<ModelVersionsInfo>> RepositoryFollower::List(
    const std::string& name) const {
  ASSIGN_OR_RETURN(const RepositoryListing listing, ListModelRepository(options_.repository));
  std::vector<ModelVersionsInfo> models;
  for (const ModelDirectory& directory : listing.models) {
    if (name.empty() || directory.name == name) models.push_back(Describe(directory));
  }
  for (const RefusedDirectory& directory : listing.refused) {
    if (!name.empty() && directory.name != name) continue;
    ModelVersionsInfo& model = models.emplace_back(DescribeDirectory(directory));
    absl::MutexLock lock(&mu_);
    const auto found = models_.find(directory.name);
    if (found != models_.end()) DescribeLoaded(found->second, &model);
  }
  if (models.empty() && !name.empty()) return NoModelNamed(name);
  if (models.empty()) {
    return absl::NotFoundError(
        absl::StrCat("the repository ", options_.repository.string(), " holds no model yet"));
  }
  std::sort(models.begin(), models.end(),
            [](const ModelVersionsInfo& a, const ModelVersionsInfo& b) { return a.name < b.name; });
  return models;
}

}  // namespace diffusiond
