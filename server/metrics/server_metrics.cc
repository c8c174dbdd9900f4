#include "server/metrics/server_metrics.h"

#include <algorithm>

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

// From a fast GPU's step to a long request in a full queue.
const Histogram::BucketBoundaries& Seconds() {
  static const auto* const bounds = new Histogram::BucketBoundaries{
      0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300};
  return *bounds;
}

const Histogram::BucketBoundaries& Rows() {
  static const auto* const bounds =
      new Histogram::BucketBoundaries{1, 2, 4, 8, 16, 32, 64, 128, 256};
  return *bounds;
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

const char* RefusalReason(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted:
      return "queue_full";
    case absl::StatusCode::kDeadlineExceeded:
      return "deadline";
    case absl::StatusCode::kUnavailable:
      return "draining";
    default:
      return "invalid";
  }
}

}  // namespace

ServerMetrics::ServerMetrics(Registry* registry, const std::string& version)
    : model_info_(NewGauge(registry, "diffusiond_model_info", "1 for each model and device.")),
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
      queue_wait_(NewHistogram(registry, "diffusiond_queue_wait_seconds",
                               "From a generation's admission to its first step.")
                      .Add({}, Seconds())),
      step_duration_(NewHistogram(registry, "diffusiond_step_duration_seconds",
                                  "One step batch on its device, all network calls, by model.")),
      network_call_rows_(NewHistogram(registry, "diffusiond_network_call_rows",
                                      "Rows that are not padding in one call of the network.")),
      network_calls_(
          NewCounter(registry, "diffusiond_network_calls_total", "Calls of the network.")),
      network_rows_(NewCounter(registry, "diffusiond_network_rows_total",
                               "Rows evaluated by the network, without padding.")),
      padding_rows_(NewCounter(registry, "diffusiond_network_padding_rows_total",
                               "Rows that only filled a micro-batch.")),
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
                              "Size of the images sent, by format.")) {
  NewGauge(registry, "diffusiond_build_info", "1; the version is its label.")
      .Add({{"version", version}})
      .Set(1);
  // Series that exist before their first event can be told from series that are missing.
  for (const char* reason : {"client", "deadline", "shutdown", "failure"}) {
    cancellations_.Add({{"reason", reason}});
  }
  for (const char* reason : {"queue_full", "deadline", "draining", "invalid"}) {
    refusals_.Add({{"reason", reason}});
  }
}

void ServerMetrics::ModelLoaded(const std::string& model, const std::string& digest,
                                const std::string& device, int micro_batch) {
  model_info_
      .Add({{"model", model},
            {"digest", digest},
            {"device", device},
            {"micro_batch", std::to_string(micro_batch)}})
      .Set(1);
  const prometheus::Labels labels = {{"model", model}};
  step_duration_.Add(labels, Seconds());
  network_call_rows_.Add(labels, Rows());
  for (Counters* family : {&network_calls_, &network_rows_, &padding_rows_, &device_failures_}) {
    family->Add(labels);
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

void ServerMetrics::PreviewDropped() { previews_dropped_.Increment(); }

void ServerMetrics::ImageSent(const std::string& format, size_t bytes) {
  images_.Add({{"format", format}}).Increment();
  image_bytes_.Add({{"format", format}}).Increment(static_cast<double>(bytes));
}

void ServerMetrics::OnQueueDepth(int waiting_trajectories, int resident_trajectories) {
  waiting_.Set(waiting_trajectories);
  resident_.Set(resident_trajectories);
}

void ServerMetrics::OnRefused(const absl::Status& status) {
  refusals_.Add({{"reason", RefusalReason(status)}}).Increment();
}

void ServerMetrics::OnFirstStep(absl::Duration queue_wait) {
  queue_wait_.Observe(absl::ToDoubleSeconds(queue_wait));
}

void ServerMetrics::OnStepBatch(const std::string& model, int network_rows, int micro_batch,
                                absl::Duration duration) {
  const prometheus::Labels labels = {{"model", model}};
  step_duration_.Add(labels, Seconds()).Observe(absl::ToDoubleSeconds(duration));
  Histogram& call_rows = network_call_rows_.Add(labels, Rows());
  int calls = 0;
  for (int left = network_rows; left > 0; left -= micro_batch, ++calls) {
    call_rows.Observe(std::min(left, micro_batch));
  }
  network_calls_.Add(labels).Increment(calls);
  network_rows_.Add(labels).Increment(network_rows);
  padding_rows_.Add(labels).Increment(calls * micro_batch - network_rows);
}

void ServerMetrics::OnDeviceFailure(const std::string& model) {
  device_failures_.Add({{"model", model}}).Increment();
}

void ServerMetrics::OnGenerationFinished(const absl::Status& status) {
  if (const char* reason = CancellationReason(status)) {
    cancellations_.Add({{"reason", reason}}).Increment();
  }
}

}  // namespace diffusiond
