#include "server/metrics/server_metrics.h"

#include <algorithm>

#include "server/engine/refusal.h"

namespace diffusiond {
namespace {

using prometheus::Histogram;
using prometheus::Registry;

template <typename Builder>
auto& Register(Builder builder, Registry* registry, const std::string& name,
               const std::string& help) {
  return builder.Name(name).Help(help).Register(*registry);
}
auto& NewCounter(Registry* registry, const std::string& name, const std::string& help) {
  return Register(prometheus::BuildCounter(), registry, name, help);
}
auto& NewGauge(Registry* registry, const std::string& name, const std::string& help) {
  return Register(prometheus::BuildGauge(), registry, name, help);
}
auto& NewHistogram(Registry* registry, const std::string& name, const std::string& help) {
  return Register(prometheus::BuildHistogram(), registry, name, help);
}

const Histogram::BucketBoundaries& Seconds() {
  static const auto* const bounds = new Histogram::BucketBoundaries{
      0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300};
  return *bounds;
}

const Histogram::BucketBoundaries& Passes() {
  static const auto* const bounds =
      new Histogram::BucketBoundaries{1, 2, 4, 8, 16, 32, 64, 128, 256};
  return *bounds;
}

const Histogram::BucketBoundaries& Steps() {
  static const auto* const bounds =
      new Histogram::BucketBoundaries{0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
  return *bounds;
}

const Histogram::BucketBoundaries& Ratios() {
  static const auto* const bounds =
      new Histogram::BucketBoundaries{0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 2, 4, 8};
  return *bounds;
}

const Histogram::BucketBoundaries& Occupancies() {
  static const auto* const bounds =
      new Histogram::BucketBoundaries{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1};
  return *bounds;
}

const char* Name(Priority priority) {
  switch (priority) {
    case Priority::kHigh:
      return "high";
    case Priority::kNormal:
      return "normal";
    case Priority::kLow:
      return "low";
  }
  return "normal";
}

// Why a generation ended without all its images; null: it did not.
const char* CancellationReason(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return nullptr;
    case absl::StatusCode::kCancelled:
      return "client";
    case absl::StatusCode::kDeadlineExceeded:
      return "deadline";
    case absl::StatusCode::kUnavailable:
      return "shutdown";
    default:
      return "failure";
  }
}

prometheus::Labels InfoLabels(const std::string& model, int version, const std::string& digest,
                              const std::string& device, int micro_batch) {
  return {{"model", model},
          {"version", std::to_string(version)},
          {"digest", digest},
          {"device", device},
          {"micro_batch", std::to_string(micro_batch)}};
}

const char* RefusalName(const absl::Status& status) {
  if (RefusalReasonOf(status) == RefusalReason::kDeadline) return "deadline";
  if (RefusalReasonOf(status) == RefusalReason::kOverShare) return "over_share";
  if (RefusalReasonOf(status) == RefusalReason::kMemory) return "memory";
  if (RefusalReasonOf(status) == RefusalReason::kPictures) return "pictures";
  if (RefusalReasonOf(status) == RefusalReason::kIdentityLimit) return "identity";
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted:
      return "queue_full";
    case absl::StatusCode::kDeadlineExceeded:
      return "deadline";
    default:
      return absl::IsUnavailable(status) ? "draining" : "invalid";
  }
}

}  // namespace

ServerMetrics::ServerMetrics(Registry* registry, const std::string& version)
    : model_info_(NewGauge(registry, "diffusiond_model_info",
                           "1 for each loaded version of a model and device.")),
      model_version_(NewGauge(registry, "diffusiond_model_version",
                              "The version that new requests get; 0: not numbered.")),
      versions_loaded_(NewGauge(registry, "diffusiond_model_versions_loaded",
                                "Versions of a model in memory: the one that is served, those kept "
                                "for a rollback, and those that wait for their last request.")),
      swaps_(NewCounter(registry, "diffusiond_model_swaps_total",
                        "Times that a version took the place of another.")),
      versions_refused_(NewCounter(registry, "diffusiond_model_versions_refused_total",
                                   "Versions that could not be loaded and directories that cannot "
                                   "be models; what was served before is served on.")),
      unserved_(NewGauge(registry, "diffusiond_model_unserved",
                         "1 for a model in the repository no version of which is served.")),
      load_duration_(NewHistogram(registry, "diffusiond_model_load_seconds",
                                  "From noticing a version to having it warm on every device.")),
      requests_(NewCounter(registry, "diffusiond_requests_total",
                           "Requests answered, by method and gRPC status code.")),
      requests_in_flight_(NewGauge(registry, "diffusiond_requests_in_flight",
                                   "Requests that are being served, by method.")),
      request_duration_(NewHistogram(registry, "diffusiond_request_duration_seconds",
                                     "From a request's arrival to its status, by method.")),
      refusals_(NewCounter(registry, "diffusiond_refusals_total",
                           "Generations that were not admitted, by reason.")),
      cancellations_(NewCounter(registry, "diffusiond_cancellations_total",
                                "Generations that ended before their last image, by reason.")),
      waiting_(NewGauge(registry, "diffusiond_waiting_trajectories",
                        "Images admitted whose first step has not begun.")
                   .Add({})),
      resident_(NewGauge(registry, "diffusiond_resident_trajectories",
                         "Images being drawn, which may hold device memory.")
                    .Add({})),
      resident_limit_(NewGauge(registry, "diffusiond_resident_trajectories_limit",
                               "Images of a model that may be drawn at once; a device that runs "
                               "out of memory lowers it.")
                          .Add({})),
      queue_wait_(NewHistogram(registry, "diffusiond_queue_wait_seconds",
                               "From a generation's admission to its first step, by priority.")),
      admission_delay_(NewHistogram(registry, "diffusiond_admission_delay_steps",
                                    "Step batches that began between a generation's admission "
                                    "and its first step.")
                           .Add({}, Steps())),
      prediction_ratio_(NewHistogram(registry, "diffusiond_finish_prediction_ratio",
                                     "Actual time to finish over the one predicted at admission.")
                            .Add({}, Ratios())),
      deadline_misses_(NewCounter(registry, "diffusiond_deadline_misses_total",
                                  "Generations admitted with a deadline that passed.")
                           .Add({})),
      release_delay_(
          NewHistogram(registry, "diffusiond_release_delay_steps",
                       "Step batches until the place of a generation that ended early was "
                       "free: 1 is the one that ran.")
              .Add({}, Steps())),
      preemptions_(NewCounter(registry, "diffusiond_preemptions_total",
                              "Times that an image begun had to let other work go first.")
                       .Add({})),
      migrations_(NewCounter(registry, "diffusiond_migrations_total",
                             "Times that an image went on on another worker.")
                      .Add({})),
      connections_(NewGauge(registry, "diffusiond_connections",
                            "Open connections of the gRPC port, about a second ago.")
                       .Add({})),
      connections_refused_(NewCounter(registry, "diffusiond_connections_refused_total",
                                      "Connections closed as they came, by limit.")),
      connections_evicted_(NewCounter(registry, "diffusiond_connections_evicted_total",
                                      "Idle connections closed for others of the gRPC port.")
                               .Add({})),
      open_calls_(NewGauge(registry, "diffusiond_open_calls",
                           "Open calls of the gRPC port, health's and reflection's included.")
                      .Add({})),
      calls_refused_(NewCounter(registry, "diffusiond_calls_refused_total",
                                "Calls refused because too many were open, by limit.")),
      http_connections_(
          NewGauge(registry, "diffusiond_http_connections", "Open connections of the HTTP port.")
              .Add({})),
      http_connections_evicted_(NewCounter(registry, "diffusiond_http_connections_evicted_total",
                                           "Idle connections closed for others of the HTTP port.")
                                    .Add({})),
      http_connections_refused_(
          NewCounter(registry, "diffusiond_http_connections_refused_total",
                     "Those of the HTTP port closed as they came, by limit.")),
      http_refusals_(NewCounter(registry, "diffusiond_http_refusals_total",
                                "Requests over HTTP refused before a method, by HTTP status.")),
      worker_up_(NewGauge(registry, "diffusiond_worker_up", "1 while the worker takes work.")),
      worker_restarts_(NewCounter(registry, "diffusiond_worker_restarts_total",
                                  "Times that a worker was taken out and built again.")),
      step_duration_(NewHistogram(registry, "diffusiond_step_duration_seconds",
                                  "One step batch on its device, all network calls, by model.")),
      step_overhead_(NewCounter(registry, "diffusiond_step_overhead_seconds_total",
                                "Time between step batches of workers that had work: what choosing "
                                "and giving back took, by model.")),
      network_call_passes_(
          NewHistogram(registry, "diffusiond_network_call_passes",
                       "Network passes that are not padding in one call of the network.")),
      network_calls_(
          NewCounter(registry, "diffusiond_network_calls_total", "Calls of the network.")),
      passes_(NewCounter(registry, "diffusiond_network_passes_total",
                         "Images evaluated by the network, without padding.")),
      padding_passes_(NewCounter(registry, "diffusiond_network_padding_passes_total",
                                 "Places that only filled a micro-batch.")),
      occupancy_(NewHistogram(registry, "diffusiond_batch_occupancy_ratio",
                              "Network passes of a step batch over what its worker carries.")),
      device_failures_(NewCounter(registry, "diffusiond_device_failures_total",
                                  "Step batches that a device failed, by model.")),
      first_preview_(NewHistogram(registry, "diffusiond_first_preview_seconds",
                                  "From a request's arrival to its first preview.")
                         .Add({}, Seconds())),
      previews_sent_(
          NewCounter(registry, "diffusiond_previews_sent_total", "Previews sent.").Add({})),
      previews_dropped_(NewCounter(registry, "diffusiond_previews_dropped_total",
                                   "Previews that a slow reader or encoder made obsolete.")
                            .Add({})),
      images_(NewCounter(registry, "diffusiond_images_total", "Images sent, by format.")),
      image_bytes_(NewCounter(registry, "diffusiond_image_bytes_total",
                              "Size of the images sent, by format.")),
      log_lines_left_out_(NewCounter(registry, "diffusiond_log_lines_left_out_total",
                                     "Log lines of refused calls that were only counted, by gRPC "
                                     "status code, and of gRPC's own.")) {
  NewGauge(registry, "diffusiond_build_info", "1; the version is its label.")
      .Add({{"version", version}})
      .Set(1);
  // Series that exist before their first event can be told from series that are missing.
  for (const char* reason : {"client", "deadline", "shutdown", "failure"}) {
    cancellations_.Add({{"reason", reason}});
  }
  for (const char* reason : {"queue_full", "over_share", "deadline", "memory", "pictures",
                             "identity", "draining", "invalid"}) {
    refusals_.Add({{"reason", reason}});
  }
  for (const char* method : {"Generate", "GenerateImages", "ListModels", "GetModel"}) {
    MethodServed(method);
  }
  AddConnectionSeries();
  AddHttpSeries();
  for (const char* code : {"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "gRPC"}) {
    log_lines_left_out_.Add({{"code", code}});
  }
  for (const Priority priority : {Priority::kHigh, Priority::kNormal, Priority::kLow}) {
    queue_wait_.Add({{"priority", Name(priority)}}, Seconds());
  }
}

void ServerMetrics::ModelLoaded(const std::string& model, int version, const std::string& digest,
                                const std::string& device, int micro_batch) {
  const prometheus::Labels info = InfoLabels(model, version, digest, device, micro_batch);
  model_info_.Add(info).Set(1);
  {
    absl::MutexLock lock(&keys_mu_);
    ++copies_[info];
  }
  const prometheus::Labels labels = {{"model", model}};
  step_duration_.Add(labels, Seconds());
  network_call_passes_.Add(labels, Passes());
  occupancy_.Add(labels, Occupancies());
  for (Counters* family :
       {&network_calls_, &passes_, &padding_passes_, &device_failures_, &step_overhead_}) {
    family->Add(labels);
  }
}

void ServerMetrics::ModelUnloaded(const std::string& model, int version, const std::string& digest,
                                  const std::string& device, int micro_batch) {
  const prometheus::Labels info = InfoLabels(model, version, digest, device, micro_batch);
  {
    absl::MutexLock lock(&keys_mu_);
    if (--copies_[info] > 0) return;
    copies_.erase(info);
  }
  model_info_.Remove(&model_info_.Add(info));
}

void ServerMetrics::ModelLoadTook(const std::string& model, absl::Duration duration) {
  load_duration_.Add({{"model", model}}, Seconds()).Observe(absl::ToDoubleSeconds(duration));
}

void ServerMetrics::MethodServed(const std::string& method) {
  for (const char* code : {"INTERNAL", "UNKNOWN", "DATA_LOSS"}) {
    requests_.Add({{"method", method}, {"code", code}});
  }
}

void ServerMetrics::RequestStarted(const std::string& method) {
  requests_in_flight_.Add({{"method", method}}).Increment();
}

void ServerMetrics::RequestFinished(const std::string& method, const std::string& code,
                                    absl::Duration duration) {
  requests_in_flight_.Add({{"method", method}}).Decrement();
  requests_.Add({{"method", method}, {"code", code}}).Increment();
  request_duration_.Add({{"method", method}}, Seconds()).Observe(absl::ToDoubleSeconds(duration));
}

void ServerMetrics::FirstPreview(absl::Duration wait) {
  first_preview_.Observe(absl::ToDoubleSeconds(wait));
}

void ServerMetrics::PreviewSent() { previews_sent_.Increment(); }

void ServerMetrics::PreviewsDropped(int count) { previews_dropped_.Increment(count); }

void ServerMetrics::ImageSent(const std::string& format, size_t bytes) {
  images_.Add({{"format", format}}).Increment();
  image_bytes_.Add({{"format", format}}).Increment(static_cast<double>(bytes));
}

void ServerMetrics::LogLineLeftOut(const std::string& code) {
  log_lines_left_out_.Add({{"code", code}}).Increment();
}

void ServerMetrics::WorkerUp(const std::string& worker, bool up) {
  worker_up_.Add({{"worker", worker}}).Set(up ? 1 : 0);
  worker_restarts_.Add({{"worker", worker}});
}

void ServerMetrics::WorkerRestarted(const std::string& worker) {
  worker_restarts_.Add({{"worker", worker}}).Increment();
}

void ServerMetrics::OnQueueDepth(const QueueDepth& depth) {
  waiting_.Set(depth.waiting);
  resident_.Set(depth.resident);
  resident_limit_.Set(depth.resident_limit);
}

void ServerMetrics::OnRefused(const absl::Status& status) {
  refusals_.Add({{"reason", RefusalName(status)}}).Increment();
}

void ServerMetrics::OnFirstStep(const FirstStep& first_step) {
  queue_wait_.Add({{"priority", Name(first_step.priority)}}, Seconds())
      .Observe(absl::ToDoubleSeconds(first_step.queue_wait));
  admission_delay_.Observe(static_cast<double>(first_step.delay_steps));
}

void ServerMetrics::OnStep(const Step& step) {
  const prometheus::Labels labels = OfModel(step.model);
  step_duration_.Add(labels, Seconds()).Observe(absl::ToDoubleSeconds(step.duration));
  step_overhead_.Add(labels).Increment(absl::ToDoubleSeconds(step.overhead));
  occupancy_.Add(labels, Occupancies()).Observe(static_cast<double>(step.passes) / step.capacity);
  const int most = step.micro_batch > 0 ? step.micro_batch : step.passes;
  int calls = 0;
  for (int left = step.passes; left > 0; left -= most, ++calls) {
    network_call_passes_.Add(labels, Passes()).Observe(std::min(left, most));
  }
  network_calls_.Add(labels).Increment(calls);
  passes_.Add(labels).Increment(step.passes);
  padding_passes_.Add(labels).Increment(calls * most - step.passes);
}

void ServerMetrics::OnDeviceFailure(const std::string& model) {
  device_failures_.Add(OfModel(model)).Increment();
}

void ServerMetrics::OnReleased(int64_t delay_steps) {
  release_delay_.Observe(static_cast<double>(delay_steps));
}

void ServerMetrics::OnPreemptions(int count) { preemptions_.Increment(count); }
void ServerMetrics::OnMigrations(int count) { migrations_.Increment(count); }

void ServerMetrics::OnGenerationFinished(const GenerationEnd& end) {
  if (const char* reason = CancellationReason(end.status)) {
    cancellations_.Add({{"reason", reason}}).Increment();
  }
  if (end.had_deadline && absl::IsDeadlineExceeded(end.status)) deadline_misses_.Increment();
  if (end.status.ok() && end.predicted.has_value()) {
    prediction_ratio_.Observe(absl::FDivDuration(end.duration, *end.predicted));
  }
}

}  // namespace diffusiond
