// The versions that every worker has to be able to run.
#ifndef DIFFUSIOND_SERVER_VERSIONS_LOADED_VERSIONS_H_
#define DIFFUSIOND_SERVER_VERSIONS_LOADED_VERSIONS_H_

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/versions/model_version.h"
#include "server/worker/executor_source.h"

namespace diffusiond {

// Stands before the workers, and knows neither them nor who loads. Thread-safe.
class LoadedVersions : public ExecutorSource {
 public:
  // Before the workers that run are told of it, so that one that is built meanwhile takes it along.
  void Add(std::shared_ptr<const ModelVersion> version);
  // Before they are told that it goes.
  void Remove(const ModelVersion& version);

  // From what is in memory, whatever became of the files.
  absl::StatusOr<StepExecutors> MakeExecutors(const DeviceSpec& device) override
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  absl::Mutex mu_;
  std::vector<std::shared_ptr<const ModelVersion>> versions_ ABSL_GUARDED_BY(mu_);
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_VERSIONS_LOADED_VERSIONS_H_
