// What operators learn of versions from the log and from metrics.
#ifndef DIFFUSIOND_SERVER_VERSIONS_VERSION_LOG_H_
#define DIFFUSIOND_SERVER_VERSIONS_VERSION_LOG_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/logging/log_record.h"
#include "server/metrics/server_metrics.h"
#include "server/versions/model_version.h"
#include "server/versions/version_loader.h"
#include "server/versions/version_policy.h"

namespace diffusiond {

// Says whatever it is told; that a thing is told once is for others to see to. Thread-safe if
// `log` is.
class VersionLog {
 public:
  struct Options {
    std::vector<std::string> devices;  // Names.
    LogSink log;
  };

  // `metrics` is not owned and outlives this.
  VersionLog(Options options, ServerMetrics* metrics)
      : options_(std::move(options)), metrics_(metrics) {}

  // What its files give reason to warn of, before it is placed.
  void Described(const ModelVersion& version);
  void Loaded(const VersionLoader::Loaded& loaded, absl::Duration took);
  // `before`: what it takes the place of; null: nothing.
  void Serving(const ModelVersion& version, const ModelVersion* before, int loaded);
  // Its memory is free. `loaded`: versions of the model that are left.
  void Unloaded(const ServedModel& version, int loaded);
  void Refused(const std::string& name, int number, const VersionRefusal& refusal);

  // Of what is left as it is while something is wrong: `serving` tells whether the model is served.
  void Problem(const std::string& name, const VersionProblem& problem, bool serving);
  void DirectoryRefused(const std::string& name, const absl::Status& reason, bool serving);
  void DirectoryGone(const std::string& name, bool serving);
  void RepositoryProblem(const std::string& problem, bool serving);
  // Entries of a model's directory that are no versions.
  void PassedOver(const std::string& name, const std::string& text);

  // No version of a model that is there is served; the model is not there any more.
  void Unserved(const std::string& name);
  void Forgotten(const std::string& name);

 private:
  const Options options_;
  ServerMetrics* const metrics_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_VERSIONS_VERSION_LOG_H_
