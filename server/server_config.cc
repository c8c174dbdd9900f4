#include "server/server_config.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "model/config/step_memory.h"
#include "model/imaging/image.h"
#include "server/access_flags.h"
#include "server/device_list.h"
#include "server/engine/outbox.h"
#include "server/imaging/decoder_pool.h"
#include "server/tracing/http_post.h"

namespace diffusiond {
namespace {

constexpr int kMaxQueuedImages = 1'000'000;
constexpr int kMinRequestBytes = 1024;
constexpr int kMaxRequestBytes = 1 << 30;
constexpr int kMaxImagesPerRequest = 10'000;
constexpr int kMaxQueuedPreviews = 100'000;
constexpr absl::Duration kMaxDrainTimeout = absl::Hours(24);
constexpr absl::Duration kMinStallTimeout = absl::Seconds(1);
constexpr int kMaxConnections = 1'000'000;
constexpr int kMinHeaderBytes = 1024;
constexpr int kMaxHeaderBytes = 1 << 20;
constexpr int64_t kMinMemory = int64_t{16} << 20;
constexpr int64_t kMaxMemory = int64_t{1} << 40;
constexpr absl::Duration kMinConnectionAge = absl::Seconds(1);
constexpr absl::Duration kMaxConnectionAge = absl::Hours(24);
constexpr absl::Duration kMinWatchdog = absl::Seconds(1);
constexpr absl::Duration kMinAgeing = absl::Milliseconds(1);
constexpr int kMaxCpuCores = 1024;
constexpr absl::Duration kMinPollInterval = absl::Milliseconds(10);
constexpr int kMaxKeptVersions = 100;
constexpr int kMaxRefusalsPerSecond = 10'000;
constexpr int kMaxQueuedTelemetry = 1'000'000;
constexpr double kMinWeight = 0.001;
constexpr double kMaxWeight = 1000;
constexpr double kMinShare = 0.01;

absl::StatusOr<std::map<std::string, double>> ParseTenantWeights(const std::string& text) {
  std::map<std::string, double> weights;
  for (const absl::string_view entry : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const size_t equals = entry.rfind('=');
    double weight = 0;
    if (equals == absl::string_view::npos || equals == 0 ||
        !absl::SimpleAtod(entry.substr(equals + 1), &weight) ||
        !(weight >= kMinWeight && weight <= kMaxWeight)) {
      return absl::InvalidArgumentError(absl::StrCat("--tenant_weights has \"", entry,
                                                     "\", allowed: name=weight, weight ",
                                                     kMinWeight, " .. ", kMaxWeight));
    }
    if (!weights.emplace(entry.substr(0, equals), weight).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("--tenant_weights has \"", entry, "\", allowed: each name once"));
    }
  }
  return weights;
}

class Faults {
 public:
  void InRange(absl::string_view flag, int64_t value, int64_t low, int64_t high) {
    if (value >= low && value <= high) return;
    Add(absl::StrCat("--", flag, " is ", value, ", allowed: ", low, " .. ", high));
  }

  void InRange(absl::string_view flag, absl::Duration value, absl::Duration low,
               absl::Duration high) {
    if (value >= low && value <= high) return;
    Add(absl::StrCat("--", flag, " is ", absl::FormatDuration(value),
                     ", allowed: ", absl::FormatDuration(low), " .. ", absl::FormatDuration(high)));
  }

  void InRangeOrInfinite(absl::string_view flag, absl::Duration value, absl::Duration low,
                         absl::Duration high) {
    if (value != absl::InfiniteDuration()) InRange(flag, value, low, high);
  }

  void IsShare(absl::string_view flag, double value) {
    if (value >= kMinShare && value <= 1) return;
    Add(absl::StrCat("--", flag, " is ", value, ", allowed: ", kMinShare, " .. 1"));
  }

  // host:port; an IPv6 host stands in brackets.
  void IsAddress(absl::string_view flag, absl::string_view value) {
    const size_t colon = value.rfind(':');
    uint32_t port = 0;
    const bool has_port = colon != absl::string_view::npos && colon > 0 &&
                          absl::SimpleAtoi(value.substr(colon + 1), &port) && port <= 65535;
    const absl::string_view host = has_port ? value.substr(0, colon) : "";
    const bool bare_ipv6 = absl::StrContains(host, ":") && host[0] != '[';
    if (has_port && !bare_ipv6) return;
    Add(absl::StrCat("--", flag, " is \"", value,
                     "\", allowed: host:port or [IPv6]:port, port 0 .. 65535 (0: any free one)"));
  }

  void Add(std::string fault) { faults_.push_back(std::move(fault)); }
  std::vector<std::string> Take() { return std::move(faults_); }

 private:
  std::vector<std::string> faults_;
};

void CheckConnections(const ServerFlags& flags, Faults& faults) {
  faults.InRange("max_connections", flags.max_connections, 1, kMaxConnections);
  faults.InRange("max_connections_per_address", flags.max_connections_per_address, 1,
                 kMaxConnections);
  faults.InRange("max_http_connections", flags.max_http_connections, 1, kMaxConnections);
  faults.InRange("max_http_connections_per_address", flags.max_http_connections_per_address, 1,
                 kMaxConnections);
  faults.InRange("max_http_header_bytes", flags.max_http_header_bytes, kMinHeaderBytes,
                 kMaxHeaderBytes);
  faults.InRange("http_request_timeout", flags.http_request_timeout, kMinStallTimeout,
                 absl::InfiniteDuration());
  faults.InRange("http_idle_timeout", flags.http_idle_timeout, kMinStallTimeout,
                 absl::InfiniteDuration());
  faults.InRange("max_connections_per_second", flags.max_connections_per_second, 1,
                 kMaxConnections);
  faults.InRange("max_connections_per_second_per_address",
                 flags.max_connections_per_second_per_address, 1, kMaxConnections);
  faults.InRange("max_calls_per_connection", flags.max_calls_per_connection, 1, kMaxConnections);
  faults.InRange("max_calls", flags.max_calls, 1, kMaxConnections);
  faults.InRange("max_calls_per_address", flags.max_calls_per_address, 1, kMaxConnections);
  faults.InRange("max_transport_bytes", flags.max_transport_bytes, kMinMemory, kMaxMemory);
  faults.InRangeOrInfinite("max_connection_age", flags.max_connection_age, kMinConnectionAge,
                           kMaxConnectionAge);
  faults.InRangeOrInfinite("max_connection_idle", flags.max_connection_idle, kMinConnectionAge,
                           kMaxConnectionAge);
}

void CheckLogging(const ServerFlags& flags, ParsedFlags* parsed, Faults& faults) {
  if (flags.log_format == "json") {
    parsed->log_format = LogFormat::kJson;
  } else if (flags.log_format != "text") {
    faults.Add(absl::StrCat("--log_format is \"", flags.log_format, "\", allowed: text or json"));
  }
  if (flags.log_level == "warning") {
    parsed->log_level = LogLevel::kWarning;
  } else if (flags.log_level == "error") {
    parsed->log_level = LogLevel::kError;
  } else if (flags.log_level != "info") {
    faults.Add(
        absl::StrCat("--log_level is \"", flags.log_level, "\", allowed: info, warning or error"));
  }
  faults.InRange("max_queued_log_lines", flags.max_queued_log_lines, 1, kMaxQueuedTelemetry);
  faults.InRange("refusals_logged_per_second", flags.refusals_logged_per_second, 0,
                 kMaxRefusalsPerSecond);
}

void CheckTracing(const ServerFlags& flags, Faults& faults) {
  if (!flags.otlp_endpoint.empty() && !CheckHttpUrl(flags.otlp_endpoint).ok()) {
    faults.Add(absl::StrCat("--otlp_endpoint is \"", flags.otlp_endpoint,
                            "\", allowed: http://HOST:PORT/v1/traces, or https"));
  }
  if (!(flags.trace_ratio >= 0 && flags.trace_ratio <= 1)) {
    faults.Add(absl::StrCat("--trace_ratio is ", flags.trace_ratio, ", allowed: 0 .. 1"));
  }
  faults.InRange("trace_every_steps", flags.trace_every_steps, 0, kMaxQueuedTelemetry);
  faults.InRange("max_queued_spans", flags.max_queued_spans, 1, kMaxQueuedTelemetry);
}

}  // namespace

std::vector<std::string> CheckFlags(const ServerFlags& flags, int machine_cores,
                                    ParsedFlags* parsed) {
  Faults faults;
  if (flags.model_repository.empty()) {
    faults.Add(
        "--model_repository is empty, allowed: a directory that holds one directory a model");
  }
  faults.IsAddress("listen", flags.listen);
  if (!flags.metrics_listen.empty()) faults.IsAddress("metrics_listen", flags.metrics_listen);
  if (!flags.admin_listen.empty()) faults.IsAddress("admin_listen", flags.admin_listen);
  if (!flags.http_listen.empty()) faults.IsAddress("http_listen", flags.http_listen);
  for (std::string& fault : CheckAccessFlags(flags, &parsed->access)) faults.Add(std::move(fault));
  faults.InRange("cpu_cores", flags.cpu_cores, 0, kMaxCpuCores);
  absl::StatusOr<std::vector<DeviceSpec>> devices =
      ParseDeviceList(flags.devices, flags.cpu_cores > 0 ? flags.cpu_cores : machine_cores);
  if (devices.ok()) {
    parsed->devices = *std::move(devices);
  } else {
    faults.Add(absl::StrCat("--devices: ", devices.status().message()));
  }
  absl::StatusOr<std::map<std::string, double>> weights = ParseTenantWeights(flags.tenant_weights);
  if (weights.ok()) {
    parsed->tenant_weights = *std::move(weights);
  } else {
    faults.Add(std::string(weights.status().message()));
  }
  faults.InRange("micro_batch", flags.micro_batch, 0, kMaxMicroBatch);
  if (flags.micro_batch > 0 && !parsed->devices.empty() &&
      parsed->devices[0].kind == DeviceKind::kCpu) {
    faults.Add(absl::StrCat("--micro_batch is ", flags.micro_batch,
                            ", which is for CUDA: CPUs take any number of rows at once"));
  }
  if (flags.model_poll_interval != absl::ZeroDuration() &&
      flags.model_poll_interval < kMinPollInterval) {
    faults.Add(
        absl::StrCat("--model_poll_interval is ", absl::FormatDuration(flags.model_poll_interval),
                     ", allowed: 0 (off), or ", absl::FormatDuration(kMinPollInterval), " .. inf"));
  }
  faults.InRange("keep_versions", flags.keep_versions, 1, kMaxKeptVersions);
  if (absl::Status status = CheckMaxModelMemory(flags.max_model_memory); !status.ok()) {
    faults.Add(std::string(status.message()));
  }
  faults.InRange("max_queued_images", flags.max_queued_images, 1, kMaxQueuedImages);
  faults.InRange("max_resident_images", flags.max_resident_images, 1, kMaxQueuedImages);
  faults.InRange("max_images_per_request", flags.max_images_per_request, 1, kMaxImagesPerRequest);
  if (flags.max_images_per_request > flags.max_queued_images) {
    faults.Add(absl::StrCat("--max_images_per_request is ", flags.max_images_per_request,
                            ", allowed: at most --max_queued_images, ", flags.max_queued_images));
  }
  faults.InRange("max_request_bytes", flags.max_request_bytes, kMinRequestBytes, kMaxRequestBytes);
  faults.InRange("decoder_threads", flags.decoder_threads, 1, DecoderPool::kMaxThreads);
  faults.InRange("max_picture_side", flags.max_picture_side, 1, kMaxImageSide);
  faults.InRange("max_queued_pictures", flags.max_queued_pictures, 1, kMaxQueuedPreviews);
  faults.InRange("max_waiting_bytes", flags.max_waiting_bytes, kMinMemory, kMaxMemory);
  faults.InRange("encoder_threads", flags.encoder_threads, 1, Outbox::kMaxFrameThreads);
  faults.InRange("max_queued_previews", flags.max_queued_previews, 0, kMaxQueuedPreviews);
  faults.InRange("progress_interval", flags.progress_interval, absl::ZeroDuration(),
                 absl::Hours(1));
  faults.InRange("worker_watchdog", flags.worker_watchdog, kMinWatchdog, absl::InfiniteDuration());
  faults.InRange("priority_ageing", flags.priority_ageing, kMinAgeing, absl::InfiniteDuration());
  faults.IsShare("queue_share", flags.queue_share);
  faults.IsShare("high_priority_share", flags.high_priority_share);
  faults.InRange("drain_timeout", flags.drain_timeout, absl::ZeroDuration(), kMaxDrainTimeout);
  faults.InRange("lame_duck", flags.lame_duck, absl::ZeroDuration(),
                 std::max(absl::ZeroDuration(), flags.drain_timeout));
  CheckConnections(flags, faults);
  faults.InRange("stall_timeout", flags.stall_timeout, kMinStallTimeout, absl::InfiniteDuration());
  CheckLogging(flags, parsed, faults);
  CheckTracing(flags, faults);
  return faults.Take();
}

ConnectionBook::Limits ConnectionLimitsOf(const ServerFlags& flags) {
  return {.total = flags.max_connections,
          .per_address = flags.max_connections_per_address,
          .calls = flags.max_calls,
          .calls_per_address = flags.max_calls_per_address};
}

HttpLimits HttpLimitsOf(const ServerFlags& flags) {
  HttpLimits limits;
  limits.max_connections = flags.max_http_connections;
  limits.max_connections_per_address = flags.max_http_connections_per_address;
  limits.max_header_bytes = static_cast<size_t>(flags.max_http_header_bytes);
  limits.max_bodies_bytes = static_cast<size_t>(flags.max_transport_bytes);
  limits.request_time = flags.http_request_timeout;
  limits.idle_time = flags.http_idle_timeout;
  limits.slow_reader_time = flags.stall_timeout;
  return limits;
}

}  // namespace diffusiond
