// What the command line asks for, checked as a whole before anything starts.
#ifndef DIFFUSIOND_SERVER_SERVER_CONFIG_H_
#define DIFFUSIOND_SERVER_SERVER_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/worker/model_loader.h"

namespace diffusiond {

// One field a flag, with its default.
struct ServerFlags {
  std::string model_repository;
  std::string listen = "127.0.0.1:50051";
  std::string metrics_listen = "127.0.0.1:9464";
  std::string devices = "cpu";
  int micro_batch = 0;
  int max_queued_images = 1024;
  int max_resident_images = 256;
  int max_images_per_request = 64;
  int encoder_threads = 2;
  int max_queued_previews = 64;
  absl::Duration drain_timeout = absl::Seconds(30);
  absl::Duration stream_stall_timeout = absl::Minutes(2);
};

// Everything that is wrong with the flags, one sentence each: flag, value, range. On success
// `devices` holds what --devices names.
std::vector<std::string> CheckFlags(const ServerFlags& flags, int machine_cores,
                                    std::vector<DeviceSpec>* devices);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_SERVER_CONFIG_H_
