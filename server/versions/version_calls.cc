// VersionManager's thread, and what others ask of it.
#include <pthread.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "model/checkpoint/model_versions.h"
#include "server/versions/version_manager.h"

namespace diffusiond {

void VersionManager::Start(Engine* engine, WorkerSupervisor* supervisor) {
  engine_ = engine;
  supervisor_ = supervisor;
  {
    absl::MutexLock lock(&inbox_->mu);
    inbox_->running = true;
  }
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "model versions");
    Run();
  });
}

void VersionManager::Stop() {
  {
    absl::MutexLock lock(&inbox_->mu);
    inbox_->running = false;
  }
  if (thread_.joinable()) thread_.join();
}

void VersionManager::Run() {
  const bool polls = options_.poll_interval > absl::ZeroDuration();
  absl::Time next_poll = polls ? absl::Now() + options_.poll_interval : absl::InfiniteFuture();
  Inbox* const inbox = inbox_.get();
  const auto due = [inbox]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(inbox->mu) {
    return !inbox->running || !inbox->unused.empty() || !inbox->calls.empty();
  };
  while (true) {
    std::vector<std::string> unused;
    std::deque<std::function<void(bool stopped)>> calls;
    bool stopping;
    {
      absl::MutexLock lock(&inbox->mu);
      inbox->mu.AwaitWithTimeout(absl::Condition(&due), next_poll - absl::Now());
      unused.swap(inbox->unused);
      calls.swap(inbox->calls);
      stopping = !inbox->running;
    }
    for (const auto& call : calls) call(stopping);
    if (stopping) return;
    for (const std::string& key : unused) Unload(key);
    const bool room = waiting_for_room_ && !unused.empty();
    if (absl::Now() < next_poll && !room) continue;
    (void)PollOnThread();  // Has told of everything.
    if (polls) next_poll = absl::Now() + options_.poll_interval;
  }
}

void VersionManager::Call(std::function<void(bool stopped)> call) {
  absl::Notification done;
  {
    absl::MutexLock lock(&inbox_->mu);
    if (!inbox_->running) return call(/*stopped=*/true);
    inbox_->calls.push_back([&done, call = std::move(call)](bool stopped) {
      call(stopped);
      done.Notify();
    });
  }
  done.WaitForNotification();
}

void VersionManager::Poll() {
  Call([this](bool stopped) {
    if (!stopped) (void)PollOnThread();
  });
}

absl::StatusOr<ModelDirectory> VersionManager::FindDirectory(const std::string& name) const {
  absl::StatusOr<RepositoryListing> listing = ListModelRepository(options_.repository);
  if (!listing.ok()) return listing.status();
  for (ModelDirectory& directory : listing->models) {
    if (directory.name == name) return std::move(directory);
  }
  for (const RefusedDirectory& directory : listing->refused) {
    if (directory.name == name) return directory.reason;
  }
  return absl::NotFoundError(
      absl::StrCat("the repository has no model of the name \"", name, "\""));
}

absl::StatusOr<ModelVersionsInfo> VersionManager::CallForModel(
    const std::string& name, std::function<absl::Status(const ModelDirectory&)> change) {
  absl::StatusOr<ModelVersionsInfo> result;
  Call([&](bool stopped) {
    if (stopped) {
      result = absl::UnavailableError("the server stops");
      return;
    }
    const absl::StatusOr<ModelDirectory> directory = FindDirectory(name);
    if (!directory.ok()) {
      result = directory.status();
      return;
    }
    const absl::Status status = change(*directory);
    if (status.ok()) {
      result = Describe(*directory);
    } else {
      result = status;
    }
  });
  return result;
}

absl::StatusOr<ModelVersionsInfo> VersionManager::LoadModelVersion(const std::string& name,
                                                                   int version) {
  return CallForModel(name, [this, version](const ModelDirectory& directory) {
    return LoadOnThread(directory, version);
  });
}

absl::StatusOr<ModelVersionsInfo> VersionManager::RollBackModel(const std::string& name,
                                                                int version) {
  return CallForModel(name, [this, version](const ModelDirectory& directory) {
    return RollBackOnThread(directory, version);
  });
}

absl::Status VersionManager::LoadOnThread(const ModelDirectory& directory, int version) {
  const std::string& name = directory.name;
  if (version > 0 && !directory.numbered) {
    return absl::FailedPreconditionError(
        absl::StrCat("model ", name, " has no numbered versions: ", directory.path.string(),
                     " is a checkpoint itself"));
  }
  if (version > 0 && directory.pinned.ok() && directory.pinned->value_or(version) != version) {
    return absl::FailedPreconditionError(
        absl::StrCat("model ", name, " is pinned to version ", **directory.pinned, " by ",
                     (directory.path / kPinnedVersionName).string(),
                     "; change that, for it counts for every server and after a restart too"));
  }
  std::optional<int> held;
  {
    absl::MutexLock lock(&mu_);
    Roll& roll = rolls_[name];
    held = roll.held;
    roll.held = version > 0 ? std::optional<int>(version) : std::nullopt;
    // Who asks may have mended what the files do not show.
    std::erase_if(roll.refused, [version](const auto& refused) {
      return version == 0 || refused.first == version;
    });
  }
  const std::shared_ptr<Version> before = Serving(name);
  const absl::Status status = Follow(directory);
  if (status.ok()) return status;
  const std::shared_ptr<Version> serving = Serving(name);
  // The newest that is good: which were refused above it stands in the listing.
  if (version == 0 && serving != before) return absl::OkStatus();
  if (version > 0) {
    absl::MutexLock lock(&mu_);
    rolls_[name].held = held;
  }
  if (serving == nullptr || serving->version == 0) return status;
  return absl::Status(status.code(), absl::StrCat(status.message(), "; version ", serving->version,
                                                  " of ", name, " is served"));
}

absl::Status VersionManager::RollBackOnThread(const ModelDirectory& directory, int version) {
  const std::shared_ptr<Version> serving = Serving(directory.name);
  if (version == 0 && directory.numbered && serving != nullptr) {
    {
      absl::MutexLock lock(&mu_);
      version = rolls_[directory.name].before;
    }
    if (!directory.Has(version) || version > serving->version) {
      const auto above =
          std::lower_bound(directory.versions.begin(), directory.versions.end(), serving->version);
      version = above == directory.versions.begin() ? 0 : *(above - 1);
    }
    if (version == 0) {
      return absl::FailedPreconditionError(absl::StrCat("model ", directory.name,
                                                        " has no version before the one that is "
                                                        "served, ",
                                                        serving->version));
    }
  }
  if (version == 0) version = 1;  // Not numbered: told so.
  return LoadOnThread(directory, version);
}

}  // namespace diffusiond
