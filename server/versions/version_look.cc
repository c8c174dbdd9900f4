// What RepositoryFollower finds when it looks at the repository.
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/checkpoint/model_versions.h"
#include "server/versions/repository_follower.h"

namespace diffusiond {
namespace {

// What is wrong with the repository as a whole.
absl::Status CheckListing(const std::filesystem::path& repository,
                          const absl::StatusOr<RepositoryListing>& listing) {
  if (!listing.ok()) return listing.status();
  if (listing->models.empty() && listing->refused.empty()) {
    return absl::NotFoundError(absl::StrCat("model repository ", repository.string(),
                                            " holds no model: one directory each is expected"));
  }
  if (listing->more_refused > 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("model repository ", repository.string(), " holds ", listing->more_refused,
                     " more directories that are refused, past the limit of ",
                     kMaxRefusedDirectories, " that are told one by one"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RepositoryFollower::Look() {
  waits_for_room_ = false;
  const absl::StatusOr<RepositoryListing> listing = ListModelRepository(options_.repository);
  absl::Status first = CheckListing(options_.repository, listing);
  NoteRepository(first);
  if (!listing.ok()) return first;
  std::set<std::string> there;
  for (const RefusedDirectory& directory : listing->refused) {
    there.insert(directory.name);
    first.Update(directory.reason);
    FollowRefused(directory);
  }
  for (const ModelDirectory& directory : listing->models) {
    there.insert(directory.name);
    NotePassedOver(directory);
    const absl::Status status = Follow(directory);  // Has logged what went wrong.
    if (Serving(directory.name) != nullptr) continue;
    first.Update(status);
    parts_.log->Unserved(directory.name);
  }
  // Of the names past the limit nothing is known.
  if (listing->more_refused == 0) NoteGone(there);
  return first;
}

void RepositoryFollower::NoteRepository(const absl::Status& status) {
  const std::string problem(status.message());
  if (std::exchange(repository_problem_, problem) == problem || problem.empty()) return;
  parts_.log->RepositoryProblem(problem, !parts_.catalog->empty());
}

void RepositoryFollower::FollowRefused(const RefusedDirectory& directory) {
  const bool serving = Serving(directory.name) != nullptr;
  if (!serving) parts_.log->Unserved(directory.name);
  if (!IsNews(directory.name, std::string(directory.reason.message()))) return;
  parts_.log->DirectoryRefused(directory.name, directory.reason, serving);
}

void RepositoryFollower::NotePassedOver(const ModelDirectory& directory) {
  std::string text;
  if (!directory.folders.others.empty()) text = NoVersions(directory.folders.others);
  {
    absl::MutexLock lock(&mu_);
    if (std::exchange(models_[directory.name].passed_over, text) == text) return;
  }
  if (!text.empty()) parts_.log->PassedOver(directory.name, text);
}

void RepositoryFollower::NoteGone(const std::set<std::string>& there) {
  std::vector<std::string> served, forgotten;
  {
    absl::MutexLock lock(&mu_);
    for (auto it = models_.begin(); it != models_.end();) {
      const auto& [name, state] = *it;
      if (there.contains(name)) {
        ++it;
      } else if (state.serving != nullptr || !state.loaded.empty() || state.held.has_value()) {
        if (state.serving != nullptr) served.push_back(name);
        ++it;
      } else {
        // Whoever puts it there again is told again.
        forgotten.push_back(name);
        it = models_.erase(it);
      }
    }
  }
  for (const std::string& name : served) {
    const std::string gone = absl::StrCat("model=", name, " is gone from the repository");
    if (IsNews(name, gone)) parts_.log->DirectoryGone(name, /*serving=*/true);
  }
  for (const std::string& name : forgotten) parts_.log->Forgotten(name);
}

}  // namespace diffusiond
