#include "server/versions/version_listing.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "model/checkpoint/model_versions.h"

namespace diffusiond {
namespace {

// Adds it, in order, if there is none of that number.
VersionInfo& InfoOf(int number, ModelVersionsInfo* model) {
  const auto at =
      std::lower_bound(model->versions.begin(), model->versions.end(), number,
                       [](const VersionInfo& info, int wanted) { return info.version < wanted; });
  if (at != model->versions.end() && at->version == number) return *at;
  return *model->versions.insert(at, VersionInfo{.version = number});
}

}  // namespace

ModelVersionsInfo DescribeDirectory(const ModelDirectory& directory) {
  ModelVersionsInfo model{.name = directory.name};
  if (directory.pinned.ok()) model.pinned = *directory.pinned;
  for (const int number : directory.versions) {
    VersionInfo& info = InfoOf(number, &model);
    const absl::StatusOr<std::filesystem::path> path = directory.VersionPath(number);
    if (!path.ok()) continue;
    const auto record = ReadVersionRecord(*path);
    if (record.ok() && record->has_value()) {
      info.digest = (*record)->digest;
      info.published = (*record)->published;
    }
  }
  if (!directory.folders.others.empty() && directory.numbered) {
    model.problem = NoVersions(directory.folders.others);
  }
  return model;
}

ModelVersionsInfo DescribeDirectory(const RefusedDirectory& directory) {
  return {.name = directory.name, .problem = std::string(directory.reason.message())};
}

void DescribeLoaded(const ModelState& state, ModelVersionsInfo* model) {
  for (const LoadedVersion& loaded : state.loaded) {
    VersionInfo& info = InfoOf(loaded.version->number(), model);
    info.state = loaded.version == state.serving ? VersionInfo::State::kServing
                 : loaded.kept != nullptr        ? VersionInfo::State::kKept
                                                 : VersionInfo::State::kDraining;
    info.digest = loaded.version->digest();
  }
}

void DescribeState(const ModelState& state, ModelVersionsInfo* model) {
  model->held = state.held;
  for (const auto& [number, refusal] : state.refused) {
    VersionInfo& info = InfoOf(number, model);
    info.state = VersionInfo::State::kRefused;
    info.refusal = std::string(refusal.reason.message());
  }
  DescribeLoaded(state, model);
  if (!state.problem.empty()) {
    model->problem =
        absl::StrCat(state.problem, model->problem.empty() ? "" : "; ", model->problem);
  }
}

}  // namespace diffusiond
