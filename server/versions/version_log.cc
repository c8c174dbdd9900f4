#include "server/versions/version_log.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace diffusiond {
namespace {

// "1:120 2:190".
std::string Shown(const std::vector<MicroBatchProfile>& profile) {
  return absl::StrJoin(profile, " ", [](std::string* text, const MicroBatchProfile& tried) {
    absl::StrAppend(text, tried.micro_batch, ":", static_cast<int64_t>(tried.passes_per_second));
  });
}

// "model=mine version=3"; without version where they are not numbered.
std::string Named(const std::string& name, int number) {
  return absl::StrCat("model=", name, number > 0 ? absl::StrCat(" version=", number) : "");
}

const char* WhatGoesOn(bool serving) { return serving ? "; serving on" : "; not served"; }

}  // namespace

void VersionLog::Described(const ModelVersion& version) {
  const std::string named = absl::StrCat("model=", version.name(), " version=", version.number());
  for (const std::string& warning : version.served.warnings) {
    options_.log_line(LogLevel::kWarning, absl::StrCat(named, " warning=\"", warning, "\""));
  }
  for (const UnavailableSampler& sampler : version.served.unavailable_samplers) {
    options_.log_line(LogLevel::kInfo,
                      absl::StrCat(named, " sampler=", sampler.name, " state=unavailable reason=\"",
                                   sampler.reason, "\""));
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
  options_.log_line(
      LogLevel::kInfo,
      absl::StrCat("loaded ", Named(version.name(), version.number()), " digest=", version.digest(),
                   " parameters=", version.served.num_parameters, " device=\"",
                   version.served.numerics.device_kind, "\" micro_batch=", version.micro_batch(),
                   " rows_per_second_by_micro_batch=\"", Shown(loaded.profile),
                   "\" seconds=", absl::ToDoubleSeconds(took)));
}

void VersionLog::Serving(const ModelVersion& version, const ModelVersion* before, int loaded) {
  metrics_->ModelServed(version.name(), version.number(), before != nullptr);
  metrics_->VersionsLoaded(version.name(), loaded);
  options_.log_line(
      LogLevel::kInfo,
      absl::StrCat(
          "serving ", Named(version.name(), version.number()), " digest=", version.digest(),
          before == nullptr
              ? std::string()
              : absl::StrCat(" before=", before->number(), " digest_before=", before->digest())));
}

void VersionLog::Unloaded(const ServedModel& version, int loaded) {
  for (const std::string& device : options_.devices) {
    metrics_->ModelUnloaded(version.name, version.version, version.digest, device,
                            version.numerics.micro_batch);
  }
  metrics_->KeyForgotten(version.engine_key());
  metrics_->VersionsLoaded(version.name, loaded);
  options_.log_line(LogLevel::kInfo, absl::StrCat("unloaded ", Named(version.name, version.version),
                                                  " digest=", version.digest));
}

void VersionLog::Refused(const std::string& name, int number, const VersionRefusal& refusal) {
  metrics_->ModelRefused(name);
  options_.log_line(LogLevel::kError,
                    absl::StrCat("refused ", Named(name, number), " error=\"",
                                 refusal.reason.message(), "\"; tried again ",
                                 refusal.retry == absl::InfiniteFuture() ? "when its files change"
                                                                         : "from time to time"));
}

void VersionLog::Problem(const std::string& name, const VersionProblem& problem, bool serving) {
  options_.log_line(
      problem.waits ? LogLevel::kWarning : LogLevel::kError,
      absl::StrCat(Named(name, problem.number), problem.waits ? " waits=\"" : " error=\"",
                   problem.text, "\"", problem.waits ? "" : WhatGoesOn(serving)));
}

void VersionLog::DirectoryRefused(const std::string& name, const absl::Status& reason,
                                  bool serving) {
  metrics_->ModelRefused(name);
  options_.log_line(LogLevel::kError, absl::StrCat("refused model=", name, " error=\"",
                                                   reason.message(), "\"", WhatGoesOn(serving)));
}

void VersionLog::DirectoryGone(const std::string& problem, bool serving) {
  options_.log_line(LogLevel::kError, absl::StrCat(problem, WhatGoesOn(serving)));
}

void VersionLog::RepositoryProblem(const std::string& problem, bool serving) {
  options_.log_line(LogLevel::kWarning, absl::StrCat("repository error=\"", problem, "\"",
                                                     serving ? "; serving on" : ""));
}

void VersionLog::PassedOver(const std::string& name, const std::string& text) {
  options_.log_line(LogLevel::kWarning,
                    absl::StrCat("model=", name, " passed_over=\"", text, "\""));
}

void VersionLog::Unserved(const std::string& name) { metrics_->ModelUnserved(name); }

void VersionLog::Forgotten(const std::string& name) { metrics_->ModelForgotten(name); }

}  // namespace diffusiond
