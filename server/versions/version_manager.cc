#include "server/versions/version_manager.h"

#include <malloc.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "model/checkpoint/model_versions.h"
#include "model/files/file_status.h"
#include "server/engine/model_key.h"
#include "server/models/served_model.h"

namespace diffusiond {
namespace {

// "1:120 2:190".
std::string Describe(const std::vector<MicroBatchProfile>& profile) {
  return absl::StrJoin(profile, " ", [](std::string* text, const MicroBatchProfile& tried) {
    absl::StrAppend(text, tried.micro_batch, ":",
                    static_cast<int64_t>(tried.network_rows_per_second));
  });
}

// "model=mine version=3"; without version where they are not numbered.
std::string Named(const std::string& name, int version) {
  return absl::StrCat("model=", name, version > 0 ? absl::StrCat(" version=", version) : "");
}

// What was published must be what was read.
absl::Status CheckRecord(const std::filesystem::path& path, const std::string& digest) {
  const absl::StatusOr<std::optional<VersionRecord>> record = ReadVersionRecord(path);
  if (!record.ok()) return record.status();
  if (!record->has_value() || (*record)->digest == digest) return absl::OkStatus();
  return InFile(
      path, absl::DataLossError(absl::StrCat("has digest ", digest, ", but ", kVersionRecordName,
                                             " says that ", (*record)->digest, " was published")));
}

// Whether the same files may load another time.
bool MayPass(const absl::Status& reason) {
  switch (reason.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kOutOfRange:
      return false;
    default:
      return true;
  }
}

}  // namespace

VersionManager::VersionManager(Options options, ModelCatalog* catalog, ServerMetrics* metrics)
    : options_(std::move(options)),
      catalog_(catalog),
      metrics_(metrics),
      executors_(options_.devices.size()) {}

VersionManager::~VersionManager() { Stop(); }

std::vector<StepExecutors> VersionManager::TakeExecutors() { return std::move(executors_); }

absl::StatusOr<StepExecutors> VersionManager::Rebuild(const DeviceSpec& device) const {
  std::vector<std::shared_ptr<Version>> versions;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [name, roll] : rolls_) {
      versions.insert(versions.end(), roll.loaded.begin(), roll.loaded.end());
    }
  }
  StepExecutors executors;
  for (const std::shared_ptr<Version>& version : versions) {
    absl::StatusOr<std::unique_ptr<StepExecutor>> executor = version->rebuild(device);
    if (!executor.ok()) return executor.status();
    executors[version->key] = *std::move(executor);
  }
  return executors;
}

absl::StatusOr<std::vector<int>> VersionManager::Candidates(const ModelDirectory& directory) const {
  if (!directory.pinned.ok()) return directory.pinned.status();
  if (directory.pinned->has_value()) return std::vector<int>{**directory.pinned};
  absl::MutexLock lock(&mu_);
  const auto found = rolls_.find(directory.name);
  if (found == rolls_.end() || !directory.numbered) {
    return std::vector<int>(directory.versions.rbegin(), directory.versions.rend());
  }
  const Roll& roll = found->second;
  if (roll.held.has_value()) return std::vector<int>{*roll.held};
  std::vector<int> newest_first;
  for (auto version = directory.versions.rbegin(); version != directory.versions.rend();
       ++version) {
    // Never back by itself: that would undo what an operator did, or serve what was replaced.
    if (roll.serving == nullptr || *version >= roll.serving->version) {
      newest_first.push_back(*version);
    }
  }
  return newest_first;
}

absl::Status VersionManager::Follow(const ModelDirectory& directory) {
  noticed_ = false;
  {
    absl::MutexLock lock(&mu_);
    std::erase_if(rolls_[directory.name].refused,
                  [&](const auto& refused) { return !directory.Has(refused.first); });
  }
  const absl::StatusOr<std::vector<int>> candidates = Candidates(directory);
  if (!candidates.ok()) {
    const std::string problem(candidates.status().message());
    Notice(directory.name, problem,
           absl::StrCat("model=", directory.name, " error=\"", problem, "\"",
                        WhatGoesOn(directory.name)));
    return candidates.status();
  }
  absl::Status first;
  for (const int version : *candidates) {
    const absl::Status status = Try(directory, version);
    if (status.ok()) break;
    first.Update(status);
    if (absl::IsResourceExhausted(status) && waiting_for_room_) break;
  }
  if (!noticed_) {
    absl::MutexLock lock(&mu_);
    rolls_[directory.name].problem.clear();
  }
  return first;
}

absl::Status VersionManager::Try(const ModelDirectory& directory, int version) {
  const std::string& name = directory.name;
  const bool on_disk = directory.Has(version);
  const std::string stamp = directory.Stamp(version);
  std::shared_ptr<Version> loaded;
  int draining = 0;
  {
    absl::MutexLock lock(&mu_);
    Roll& roll = rolls_[name];
    const auto is_it = [&](const std::shared_ptr<Version>& other) {
      return other->version == version && (!on_disk || other->stamp == stamp);
    };
    if (roll.serving != nullptr && is_it(roll.serving)) return absl::OkStatus();
    for (const std::shared_ptr<Version>& other : roll.loaded) {
      if (other->served == nullptr) ++draining;
      if (!is_it(other)) continue;
      // A draining one comes back, unless its last user has just gone.
      other->served = other->users.lock();
      if (other->served != nullptr) loaded = other;
    }
    const auto refused = roll.refused.find(version);
    if (loaded == nullptr && refused != roll.refused.end() && refused->second.stamp == stamp &&
        options_.now() < refused->second.retry) {
      return refused->second.reason;
    }
  }
  if (loaded == nullptr && !on_disk) {
    const std::string missing = absl::StrCat("model ", name, " has no version ", version);
    Notice(name, missing,
           absl::StrCat(Named(name, version), " error=\"", missing, "\"", WhatGoesOn(name)));
    return absl::NotFoundError(missing);
  }
  if (loaded == nullptr && draining >= kMaxDrainingVersions) {
    waiting_for_room_ = true;
    const std::string full = absl::StrCat("model ", name, ": requests still run on ", draining,
                                          " older versions, so version ", version, " waits");
    Notice(name, full, absl::StrCat(Named(name, version), " waits=\"", full, "\""));
    return absl::ResourceExhaustedError(full);
  }
  if (loaded == nullptr) {
    absl::StatusOr<std::shared_ptr<Version>> made = Load(directory, version, stamp);
    if (!made.ok()) {
      Refuse(name, version, stamp, made.status());
      return made.status();
    }
    loaded = *std::move(made);
  }
  Serve(name, std::move(loaded));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<VersionManager::Version>> VersionManager::Load(
    const ModelDirectory& directory, int number, const std::string& stamp) {
  const absl::Time start = absl::Now();
  const std::string& name = directory.name;
  const absl::StatusOr<std::filesystem::path> path = directory.VersionPath(number);
  if (!path.ok()) return path.status();
  const std::shared_ptr<Version> serving = Serving(name);
  // The micro-batch is part of what receipts name; and a profile under load says little.
  const int micro_batch =
      options_.micro_batch == 0 && serving != nullptr ? serving->micro_batch : options_.micro_batch;
  absl::StatusOr<LoadedModel> model = options_.load(*path, options_.devices, micro_batch);
  if (!model.ok()) return model.status();
  if (absl::Status status = CheckRecord(*path, model->digest); !status.ok()) return status;
  absl::StatusOr<ServedModel> served = MakeServedModel(
      name, model->config, model->digest, model->num_parameters,
      {model->libtorch_version, model->device_kind, model->micro_batch}, model->warnings);
  if (!served.ok()) return served.status();
  for (const std::string& warning : served->warnings) {
    options_.log_line(
        absl::StrCat("model=", name, " version=", number, " warning=\"", warning, "\""));
  }
  for (const UnavailableSampler& sampler : served->unavailable_samplers) {
    options_.log_line(absl::StrCat("model=", name, " version=", number, " sampler=", sampler.name,
                                   " state=unavailable reason=\"", sampler.reason, "\""));
  }

  auto version = std::make_shared<Version>();
  version->version = served->version = number;
  version->digest = model->digest;
  version->stamp = stamp;
  version->micro_batch = model->micro_batch;
  version->network = model->config.unet;
  version->rebuild = model->rebuild;
  {
    absl::MutexLock lock(&mu_);
    Roll& roll = rolls_[name];
    version->key = served->key = ModelKey(name, number, roll.loads[number]++);
    version->served = std::shared_ptr<const ServedModel>(
        new ServedModel(*std::move(served)),
        [inbox = inbox_, key = version->key](const ServedModel* last) {
          delete last;
          absl::MutexLock lock(&inbox->mu);
          inbox->unused.push_back(key);
        });
    version->users = version->served;
    // First of all: a worker that is built meanwhile takes it along.
    roll.loaded.insert(roll.loaded.begin(), version);
  }
  if (absl::Status status = Place(name, version, std::move(model->executors)); !status.ok()) {
    return status;
  }
  const absl::Duration took = absl::Now() - start;
  for (const DeviceSpec& device : options_.devices) {
    metrics_->ModelLoaded(name, number, model->digest, DeviceName(device), model->micro_batch);
  }
  metrics_->ModelLoadTook(name, took);
  options_.log_line(absl::StrCat(
      "loaded ", Named(name, number), " digest=", model->digest,
      " parameters=", model->num_parameters, " device=\"", model->device_kind,
      "\" micro_batch=", model->micro_batch, " rows_per_second_by_micro_batch=\"",
      diffusiond::Describe(model->profile), "\" seconds=", absl::ToDoubleSeconds(took)));
  return version;
}

absl::Status VersionManager::Place(const std::string& name, const std::shared_ptr<Version>& version,
                                   std::vector<std::unique_ptr<StepExecutor>> executors) {
  if (supervisor_ == nullptr) {
    for (size_t i = 0; i < executors.size(); ++i) {
      executors_[i][version->key] = std::move(executors[i]);
    }
    return absl::OkStatus();
  }
  absl::Status status = supervisor_->AddModel(version->key, std::move(executors));
  if (status.ok()) return status;
  {
    absl::MutexLock lock(&mu_);
    std::erase(rolls_[name].loaded, version);
  }
  supervisor_->RemoveModel(version->key);
  return status;
}

void VersionManager::Serve(const std::string& name, std::shared_ptr<Version> version) {
  const std::shared_ptr<Version> before = Serving(name);
  if (engine_ != nullptr && before != nullptr && before->network == version->network) {
    engine_->InheritPace(version->key, before->key);
  }
  std::vector<std::shared_ptr<const ServedModel>> others, released;
  size_t loaded;
  {
    absl::MutexLock lock(&mu_);
    Roll& roll = rolls_[name];
    std::erase(roll.loaded, version);
    roll.loaded.push_back(version);
    roll.serving = version;
    roll.refused.erase(version->version);
    if (before != nullptr) roll.before = before->version;
    int kept = 0;
    for (auto other = roll.loaded.rbegin(); other != roll.loaded.rend(); ++other) {
      if ((*other)->served == nullptr || kept++ == 0) continue;
      if (kept <= options_.keep_versions) {
        others.push_back((*other)->served);
      } else {
        released.push_back(std::move((*other)->served));
        (*other)->served = nullptr;
      }
    }
    loaded = roll.loaded.size();
  }
  catalog_->Put(version->served, std::move(others));
  metrics_->ModelServed(name, version->version, before != nullptr);
  metrics_->VersionsLoaded(name, static_cast<int>(loaded));
  options_.log_line(absl::StrCat(
      "serving ", Named(name, version->version), " digest=", version->digest,
      before == nullptr
          ? std::string()
          : absl::StrCat(" before=", before->version, " digest_before=", before->digest)));
  if (options_.on_catalog_changed) options_.on_catalog_changed();
}

void VersionManager::Unload(const std::string& key) {
  const std::string name(ModelNameOfKey(key));
  std::shared_ptr<Version> version;
  size_t left;
  {
    absl::MutexLock lock(&mu_);
    Roll& roll = rolls_[name];
    const auto found =
        std::find_if(roll.loaded.begin(), roll.loaded.end(),
                     [&key](const std::shared_ptr<Version>& other) { return other->key == key; });
    if (found == roll.loaded.end()) return;  // Could not be placed.
    version = *found;
    roll.loaded.erase(found);
    left = roll.loaded.size();
  }
  supervisor_->RemoveModel(key);
  const int number = version->version;
  const std::string digest = version->digest;
  for (const DeviceSpec& device : options_.devices) {
    metrics_->ModelUnloaded(name, number, digest, DeviceName(device), version->micro_batch);
  }
  version.reset();
  // Its weights were allocated among what stays, so the system would not get them back by itself.
  malloc_trim(0);
  metrics_->VersionsLoaded(name, static_cast<int>(left));
  options_.log_line(absl::StrCat("unloaded ", Named(name, number), " digest=", digest));
}

void VersionManager::Refuse(const std::string& name, int version, const std::string& stamp,
                            const absl::Status& reason) {
  Refusal refusal{.stamp = stamp, .reason = reason};
  bool told = false;
  {
    absl::MutexLock lock(&mu_);
    Refusal& before = rolls_[name].refused[version];
    told = before.stamp == stamp && before.reason == reason;
    if (MayPass(reason)) {
      refusal.put_off = told ? std::min(2 * before.put_off, kLongestRetry) : kFirstRetry;
      refusal.retry = options_.now() + refusal.put_off;
    }
    before = refusal;
  }
  if (told) return;
  metrics_->ModelRefused(name);
  options_.log_line(absl::StrCat(
      "refused ", Named(name, version), " error=\"", reason.message(), "\"; tried again ",
      refusal.retry == absl::InfiniteFuture() ? "when its files change" : "from time to time"));
}

std::shared_ptr<VersionManager::Version> VersionManager::Serving(const std::string& name) const {
  absl::MutexLock lock(&mu_);
  const auto found = rolls_.find(name);
  return found == rolls_.end() ? nullptr : found->second.serving;
}

}  // namespace diffusiond
