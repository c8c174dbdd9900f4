// What VersionManager finds when it looks at the repository, and what it tells of it.
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/checkpoint/model_versions.h"
#include "server/versions/version_manager.h"

namespace diffusiond {

absl::Status VersionManager::LoadAll() { return PollOnThread(); }

absl::Status VersionManager::PollOnThread() {
  waiting_for_room_ = false;
  const absl::StatusOr<RepositoryListing> listing = ListModelRepository(options_.repository);
  absl::Status first = listing.status();
  if (listing.ok() && listing->models.empty() && listing->refused.empty()) {
    first = absl::NotFoundError(absl::StrCat("model repository ", options_.repository.string(),
                                             " holds no model: one directory each is expected"));
  } else if (listing.ok() && listing->more_refused > 0) {
    first = absl::ResourceExhaustedError(absl::StrCat(
        "model repository ", options_.repository.string(), " holds ", listing->more_refused,
        " more directories that are refused, past the limit of ", kMaxRefusedDirectories,
        " that are told one by one"));
  }
  NoteRepository(first);
  if (!listing.ok()) return first;
  std::set<std::string> there;
  for (const RefusedDirectory& directory : listing->refused) {
    there.insert(directory.name);
    first.Update(directory.reason);
    RefuseDirectory(directory);
  }
  for (const ModelDirectory& directory : listing->models) {
    there.insert(directory.name);
    NotePassedOver(directory);
    const absl::Status status = Follow(directory);  // Has logged what went wrong.
    if (Serving(directory.name) != nullptr) continue;
    first.Update(status);
    metrics_->ModelUnserved(directory.name);
  }
  // Of the names past the limit nothing is known.
  if (listing->more_refused == 0) NoteGone(there);
  return first;
}

void VersionManager::NoteRepository(const absl::Status& status) {
  const std::string problem(status.message());
  if (!problem.empty() && problem != repository_problem_) {
    options_.log_line(absl::StrCat("repository error=\"", problem, "\"",
                                   catalog_->empty() ? "" : "; serving on"));
  }
  repository_problem_ = problem;
}

void VersionManager::RefuseDirectory(const RefusedDirectory& directory) {
  const std::string reason(directory.reason.message());
  if (Serving(directory.name) == nullptr) metrics_->ModelUnserved(directory.name);
  const bool told = Notice(directory.name, reason,
                           absl::StrCat("refused model=", directory.name, " error=\"", reason, "\"",
                                        WhatGoesOn(directory.name)));
  if (told) metrics_->ModelRefused(directory.name);
}

void VersionManager::NotePassedOver(const ModelDirectory& directory) {
  std::string text;
  if (!directory.folders.others.empty()) text = NoVersions(directory.folders.others);
  {
    absl::MutexLock lock(&mu_);
    std::string& told = rolls_[directory.name].passed_over;
    if (told == text) return;
    told = text;
  }
  if (!text.empty()) {
    options_.log_line(absl::StrCat("model=", directory.name, " passed_over=\"", text, "\""));
  }
}

void VersionManager::NoteGone(const std::set<std::string>& there) {
  std::vector<std::string> served, forgotten;
  {
    absl::MutexLock lock(&mu_);
    for (auto it = rolls_.begin(); it != rolls_.end();) {
      const auto& [name, roll] = *it;
      if (there.contains(name)) {
        ++it;
      } else if (roll.serving != nullptr || !roll.loaded.empty() || roll.held.has_value()) {
        if (roll.serving != nullptr) served.push_back(name);
        ++it;
      } else {
        // Whoever puts it there again is told again.
        forgotten.push_back(name);
        it = rolls_.erase(it);
      }
    }
  }
  for (const std::string& name : served) {
    const std::string gone = absl::StrCat("model=", name, " is gone from the repository");
    Notice(name, gone, absl::StrCat(gone, WhatGoesOn(name)));
  }
  for (const std::string& name : forgotten) metrics_->ModelForgotten(name);
}

bool VersionManager::Notice(const std::string& name, const std::string& problem,
                            const std::string& line) {
  noticed_ = true;
  {
    absl::MutexLock lock(&mu_);
    std::string& told = rolls_[name].problem;
    if (told == problem) return false;
    told = problem;
  }
  options_.log_line(line);
  return true;
}

std::string VersionManager::WhatGoesOn(const std::string& name) const {
  return Serving(name) == nullptr ? "; not served" : "; serving on";
}

}  // namespace diffusiond
