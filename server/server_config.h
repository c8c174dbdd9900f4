// What the command line asks for, checked as a whole before anything starts.
#ifndef DIFFUSIOND_SERVER_SERVER_CONFIG_H_
#define DIFFUSIOND_SERVER_SERVER_CONFIG_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/worker/model_loader.h"

namespace diffusiond {

// One field a flag, with its default.
struct ServerFlags {
  std::string model_repository;
  std::string default_model;
  std::string listen = "127.0.0.1:50051";
  std::string metrics_listen = "127.0.0.1:9464";
  std::string admin_listen;  // Empty: none.
  std::string devices = "cpu";
  int cpu_cores = 0;  // 0: all.
  int micro_batch = 0;
  absl::Duration model_poll_interval =
      absl::Seconds(10);  // Zero: only at the start, and when told.
  bool exit_on_model_error = false;
  int keep_versions = 1;
  int64_t max_model_memory = 0;  // Bytes; 0: half of the machine's.
  int max_queued_images = 1024;
  int max_resident_images = 256;
  int max_images_per_request = 64;
  int max_request_bytes = 4 << 20;
  int max_connections = 4096;
  int max_connections_per_address = 256;
  int max_calls_per_connection = 256;
  int64_t max_transport_bytes = int64_t{256} << 20;
  bool accept_compressed_requests = false;
  int encoder_threads = 2;
  int decoder_threads = 1;
  int max_queued_pictures = 64;
  int64_t max_waiting_bytes = int64_t{256} << 20;
  int max_queued_previews = 64;
  absl::Duration worker_watchdog = absl::Minutes(1);
  absl::Duration priority_ageing = absl::Seconds(30);
  double queue_share = 0.75;         // Of an address, and of its tenants.
  double high_priority_share = 0.5;  // Of class HIGH, in the queue and of the machine.
  std::string tenant_weights;        // "name=weight,name=weight"; 1 for those not named.
  absl::Duration drain_timeout = absl::Seconds(30);
  absl::Duration max_connection_age = absl::Minutes(30);
  absl::Duration max_connection_idle = absl::Minutes(10);
  absl::Duration stall_timeout = absl::Minutes(2);
  int refusals_logged_per_second = 10;
};

// What some flags come to.
struct ParsedFlags {
  std::vector<DeviceSpec> devices;
  std::map<std::string, double> tenant_weights;
};

// Everything that is wrong with the flags, one sentence each: flag, value, range. `parsed` is good
// if nothing is.
std::vector<std::string> CheckFlags(const ServerFlags& flags, int machine_cores,
                                    ParsedFlags* parsed);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_SERVER_CONFIG_H_
