#include "server/server_config.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/device_list.h"
#include "server/imaging/encoder_pool.h"

namespace diffusiond {
namespace {

constexpr int kMaxQueuedImages = 1'000'000;
constexpr int kMaxImagesPerRequest = 10'000;
constexpr int kMaxQueuedPreviews = 100'000;
constexpr absl::Duration kMaxDrainTimeout = absl::Hours(24);
constexpr absl::Duration kMinStallTimeout = absl::Seconds(1);

class Faults {
 public:
  void InRange(absl::string_view flag, int value, int low, int high) {
    if (value >= low && value <= high) return;
    Add(absl::StrCat("--", flag, " is ", value, ", allowed: ", low, " .. ", high));
  }

  void InRange(absl::string_view flag, absl::Duration value, absl::Duration low,
               absl::Duration high) {
    if (value >= low && value <= high) return;
    Add(absl::StrCat("--", flag, " is ", absl::FormatDuration(value),
                     ", allowed: ", absl::FormatDuration(low), " .. ", absl::FormatDuration(high)));
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

}  // namespace

std::vector<std::string> CheckFlags(const ServerFlags& flags, int machine_cores,
                                    std::vector<DeviceSpec>* devices) {
  Faults faults;
  if (flags.model_repository.empty()) {
    faults.Add(
        "--model_repository is empty, allowed: a directory that holds one directory a model");
  }
  faults.IsAddress("listen", flags.listen);
  if (!flags.metrics_listen.empty()) faults.IsAddress("metrics_listen", flags.metrics_listen);
  absl::StatusOr<std::vector<DeviceSpec>> parsed = ParseDeviceList(flags.devices, machine_cores);
  if (parsed.ok()) {
    *devices = *std::move(parsed);
  } else {
    faults.Add(absl::StrCat("--devices: ", parsed.status().message()));
  }
  faults.InRange("micro_batch", flags.micro_batch, 0, kMaxMicroBatch);
  faults.InRange("max_queued_images", flags.max_queued_images, 1, kMaxQueuedImages);
  faults.InRange("max_resident_images", flags.max_resident_images, 1, kMaxQueuedImages);
  faults.InRange("max_images_per_request", flags.max_images_per_request, 1, kMaxImagesPerRequest);
  if (flags.max_images_per_request > flags.max_queued_images) {
    faults.Add(absl::StrCat("--max_images_per_request is ", flags.max_images_per_request,
                            ", allowed: at most --max_queued_images, ", flags.max_queued_images));
  }
  faults.InRange("encoder_threads", flags.encoder_threads, 1, EncoderPool::kMaxThreads);
  faults.InRange("max_queued_previews", flags.max_queued_previews, 0, kMaxQueuedPreviews);
  faults.InRange("drain_timeout", flags.drain_timeout, absl::ZeroDuration(), kMaxDrainTimeout);
  faults.InRange("stream_stall_timeout", flags.stream_stall_timeout, kMinStallTimeout,
                 absl::InfiniteDuration());
  return faults.Take();
}

}  // namespace diffusiond
