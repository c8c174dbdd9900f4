// From a version's files to what can be served.
#ifndef DIFFUSIOND_SERVER_VERSIONS_VERSION_LOADER_H_
#define DIFFUSIOND_SERVER_VERSIONS_VERSION_LOADER_H_

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/versions/model_repository.h"
#include "server/versions/model_version.h"
#include "server/worker/model_loader.h"

namespace diffusiond {

// Keeps nothing of what it loads. Thread-safe.
class VersionLoader {
 public:
  struct Options {
    std::vector<DeviceSpec> devices;
    // LoadModel, or a test's.
    std::function<absl::StatusOr<LoadedModel>(const std::filesystem::path&,
                                              absl::Span<const DeviceSpec>, int micro_batch)>
        load;
  };
  struct Request {
    int number = 0;
    int copy = 0;            // See ModelVersion.
    std::string stamp = {};  // Of its files, by who looked at them before.
    int micro_batch = 0;     // 0: by profile.
  };
  struct Loaded {
    std::shared_ptr<const ModelVersion> version;
    std::vector<std::unique_ptr<StepExecutor>> executors;  // By device.
    std::vector<MicroBatchProfile> profile;                // Empty: the micro-batch was given.
  };

  explicit VersionLoader(Options options) : options_(std::move(options)) {}

  // As LoadModel and MakeServedModel. DATA_LOSS: it is not what was published.
  absl::StatusOr<Loaded> Load(const ModelDirectory& directory, const Request& request) const;

 private:
  const Options options_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_VERSIONS_VERSION_LOADER_H_
