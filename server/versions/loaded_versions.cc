#include "server/versions/loaded_versions.h"

#include <utility>

#include "model/status/status_macros.h"

namespace diffusiond {

void LoadedVersions::Add(std::shared_ptr<const ModelVersion> version) {
  absl::MutexLock lock(&mu_);
  versions_.push_back(std::move(version));
}

void LoadedVersions::Remove(const ModelVersion& version) {
  absl::MutexLock lock(&mu_);
  std::erase_if(versions_, [&version](const std::shared_ptr<const ModelVersion>& other) {
    return other.get() == &version;
  });
}

absl::StatusOr<StepExecutors> LoadedVersions::MakeExecutors(const DeviceSpec& device) {
  std::vector<std::shared_ptr<const ModelVersion>> versions;
  {
    // Copied, because making them may take as long as copying weights to a device.
    absl::MutexLock lock(&mu_);
    versions = versions_;
  }
  StepExecutors executors;
  for (const std::shared_ptr<const ModelVersion>& version : versions) {
    ASSIGN_OR_RETURN(std::unique_ptr<StepExecutor> executor, version->make_executor(device));
    executors[version->key()] = std::move(executor);
  }
  return executors;
}

}  // namespace diffusiond
