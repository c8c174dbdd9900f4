#include "server/versions/version_log.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace diffusiond {
namespace {

// Nothing where there is none.
void AddMicroBatch(const VersionLoader::Loaded& loaded, LogRecord& record) {
  if (loaded.version->micro_batch() == 0) return;
  const auto shown = [](std::string* text, const MicroBatchProfile& tried) {
    absl::StrAppend(text, tried.micro_batch, ":", static_cast<int64_t>(tried.passes_per_second));
  };
  record.Add("micro_batch", loaded.version->micro_batch())
      .Add("rows_per_second_by_micro_batch", absl::StrJoin(loaded.profile, " ", shown));
}

// Without version where they are not numbered.
LogRecord OfModel(LogLevel level, const char* event, const std::string& name, int number) {
  LogRecord record(level, event);
  record.Add("model", name);
  if (number > 0) record.Add("version", number);
  return record;
}

const char* WhatGoesOn(bool serving) { return serving ? "serving on" : "not served"; }

}  // namespace

void VersionLog::Described(const ModelVersion& version) {
  const std::string& name = version.name();
  for (const std::string& warning : version.served.warnings) {
    options_.log(
        OfModel(LogLevel::kWarning, "described", name, version.number()).Add("warning", warning));
  }
  for (const UnavailableSampler& sampler : version.served.unavailable_samplers) {
    options_.log(OfModel(LogLevel::kInfo, "described", name, version.number())
                     .Add("sampler", sampler.name)
                     .Add("state", "unavailable")
                     .Add("reason", sampler.reason));
  }
}

void VersionLog::Loaded(const VersionLoader::Loaded& loaded, absl::Duration took) {
  const ModelVersion& version = *loaded.version;
  metrics_->ModelKeyed(version.key(), version.name());
  for (const std::string& device : options_.devices) {
    metrics_->ModelLoaded(version.name(), version.number(), version.digest(), device,
                          version.micro_batch());
  }
  metrics_->ModelLoadTook(version.name(), took);
  LogRecord record = OfModel(LogLevel::kInfo, "loaded", version.name(), version.number());
  record.Add("digest", version.digest())
      .Add("parameters", version.served.num_parameters)
      .Add("device", version.served.numerics.device_kind);
  AddMicroBatch(loaded, record);
  options_.log(record.Add("seconds", took));
}

void VersionLog::Serving(const ModelVersion& version, const ModelVersion* before, int loaded) {
  metrics_->ModelServed(version.name(), version.number(), before != nullptr);
  metrics_->VersionsLoaded(version.name(), loaded);
  LogRecord record = OfModel(LogLevel::kInfo, "serving", version.name(), version.number());
  record.Add("digest", version.digest());
  if (before != nullptr) {
    record.Add("before", before->number()).Add("digest_before", before->digest());
  }
  options_.log(record);
}

void VersionLog::Unloaded(const ServedModel& version, int loaded) {
  for (const std::string& device : options_.devices) {
    metrics_->ModelUnloaded(version.name, version.version, version.digest, device,
                            version.numerics.micro_batch);
  }
  metrics_->KeyForgotten(version.engine_key());
  metrics_->VersionsLoaded(version.name, loaded);
  options_.log(OfModel(LogLevel::kInfo, "unloaded", version.name, version.version)
                   .Add("digest", version.digest));
}

void VersionLog::Refused(const std::string& name, int number, const VersionRefusal& refusal) {
  metrics_->ModelRefused(name);
  options_.log(OfModel(LogLevel::kError, "refused", name, number)
                   .Add("error", refusal.reason.message())
                   .Add("tried_again", refusal.retry == absl::InfiniteFuture()
                                           ? "when its files change"
                                           : "from time to time"));
}

void VersionLog::Problem(const std::string& name, const VersionProblem& problem, bool serving) {
  if (problem.waits) {
    options_.log(
        OfModel(LogLevel::kWarning, "waiting", name, problem.number).Add("waits", problem.text));
  } else {
    options_.log(OfModel(LogLevel::kError, "problem", name, problem.number)
                     .Add("error", problem.text)
                     .Add("state", WhatGoesOn(serving)));
  }
}

void VersionLog::DirectoryRefused(const std::string& name, const absl::Status& reason,
                                  bool serving) {
  metrics_->ModelRefused(name);
  options_.log(OfModel(LogLevel::kError, "refused", name, 0)
                   .Add("error", reason.message())
                   .Add("state", WhatGoesOn(serving)));
}

void VersionLog::DirectoryGone(const std::string& name, bool serving) {
  options_.log(OfModel(LogLevel::kError, "gone", name, 0)
                   .Add("error", "it is not in the repository any more")
                   .Add("state", WhatGoesOn(serving)));
}

void VersionLog::RepositoryProblem(const std::string& problem, bool serving) {
  options_.log(LogRecord(LogLevel::kWarning, "repository")
                   .Add("error", problem)
                   .Add("state", WhatGoesOn(serving)));
}

void VersionLog::PassedOver(const std::string& name, const std::string& text) {
  options_.log(OfModel(LogLevel::kWarning, "found", name, 0).Add("passed_over", text));
}

void VersionLog::Unserved(const std::string& name) { metrics_->ModelUnserved(name); }

void VersionLog::Forgotten(const std::string& name) { metrics_->ModelForgotten(name); }

}  // namespace diffusiond
