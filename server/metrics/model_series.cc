// The part of ServerMetrics that tells which models are served, by which name.
#include "server/metrics/server_metrics.h"

namespace diffusiond {

void ServerMetrics::ModelKeyed(const std::string& key, const std::string& model) {
  absl::MutexLock lock(&keys_mu_);
  names_[key] = model;
  std::erase(gone_, key);  // A model that is back after all of it was gone.
}

void ServerMetrics::KeyForgotten(const std::string& key) {
  absl::MutexLock lock(&keys_mu_);
  gone_.push_back(key);
  if (gone_.size() <= kRememberedKeys) return;
  names_.erase(gone_.front());
  gone_.pop_front();
}

prometheus::Labels ServerMetrics::OfModel(const std::string& key) {
  absl::MutexLock lock(&keys_mu_);
  const auto found = names_.find(key);
  return {{"model", found == names_.end() ? key : found->second}};
}

void ServerMetrics::ModelServed(const std::string& model, int version, bool swapped) {
  model_version_.Add({{"model", model}}).Set(version);
  swaps_.Add({{"model", model}}).Increment(swapped ? 1 : 0);
  versions_refused_.Add({{"model", model}});
  unserved_.Add({{"model", model}}).Set(0);
}

void ServerMetrics::ModelRefused(const std::string& model) {
  versions_refused_.Add({{"model", model}}).Increment();
}

void ServerMetrics::ModelUnserved(const std::string& model) {
  unserved_.Add({{"model", model}}).Set(1);
}

void ServerMetrics::ModelForgotten(const std::string& model) {
  unserved_.Remove(&unserved_.Add({{"model", model}}));
}

void ServerMetrics::VersionsLoaded(const std::string& model, int count) {
  versions_loaded_.Add({{"model", model}}).Set(count);
}

}  // namespace diffusiond
