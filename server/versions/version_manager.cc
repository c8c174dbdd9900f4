#include "server/versions/version_manager.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "absl/synchronization/notification.h"

namespace diffusiond {
namespace {

VersionLog::Options LogOptions(const VersionManager::Options& options) {
  VersionLog::Options log{.devices = {}, .log = options.log};
  for (const DeviceSpec& device : options.loader.devices) log.devices.push_back(DeviceName(device));
  return log;
}

}  // namespace

VersionManager::VersionManager(Options options, const Parts& parts)
    : options_(std::move(options)),
      log_(LogOptions(options_), parts.metrics),
      follower_({.repository = options_.repository,
                 .micro_batch = options_.micro_batch,
                 .keep_versions = options_.keep_versions,
                 .now = options_.now,
                 .on_catalog_changed = options_.on_catalog_changed,
                 // From whichever thread drops the last reference, which may outlive the manager.
                 .on_unused =
                     [inbox = inbox_](std::shared_ptr<const ModelVersion> version) {
                       absl::MutexLock lock(&inbox->mu);
                       inbox->unused.push_back(std::move(version));
                     }},
                VersionLoader(options_.loader),
                {.loaded = parts.loaded,
                 .supervisor = parts.supervisor,
                 .engine = parts.engine,
                 .catalog = parts.catalog,
                 .log = &log_}) {}

VersionManager::~VersionManager() { Stop(); }

absl::Status VersionManager::LoadAll() { return follower_.Look(); }

void VersionManager::Start() {
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
    std::vector<std::shared_ptr<const ModelVersion>> unused;
    std::deque<std::function<void(bool stopped)>> calls;
    bool stopping;
    {
      absl::MutexLock lock(&inbox->mu);
      inbox->mu.AwaitWithTimeout(absl::Condition(&due), next_poll - absl::Now());
      unused.swap(inbox->unused);
      calls.swap(inbox->calls);
      stopping = !inbox->running;
    }
    // Calls that came before the stop are told of it: their threads wait for an answer.
    for (const auto& call : calls) call(stopping);
    if (stopping) return;
    // What waits for room need not wait for the next poll.
    const bool room = polls && !unused.empty() && follower_.waits_for_room();
    for (std::shared_ptr<const ModelVersion>& version : unused) {
      follower_.Unload(std::move(version));
    }
    // A clock that was set back puts off no look.
    const absl::Time now = absl::Now();
    if (polls) next_poll = std::min(next_poll, now + options_.poll_interval);
    if (now < next_poll && !room) continue;
    (void)follower_.Look();  // Has told of everything.
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
    if (!stopped) (void)follower_.Look();
  });
}

absl::StatusOr<std::vector<ModelVersionsInfo>> VersionManager::ListModelVersions(
    const std::string& name) {
  return follower_.List(name);
}

absl::StatusOr<ModelVersionsInfo> VersionManager::LoadModelVersion(const std::string& name,
                                                                   int version) {
  absl::StatusOr<ModelVersionsInfo> result = absl::UnavailableError("the server stops");
  Call([&](bool stopped) {
    if (!stopped) result = follower_.LoadVersion(name, version);
  });
  return result;
}

absl::StatusOr<ModelVersionsInfo> VersionManager::RollBackModel(const std::string& name,
                                                                int version) {
  absl::StatusOr<ModelVersionsInfo> result = absl::UnavailableError("the server stops");
  Call([&](bool stopped) {
    if (!stopped) result = follower_.RollBack(name, version);
  });
  return result;
}

}  // namespace diffusiond
