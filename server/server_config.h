// What the command line asks for, checked as a whole before anything starts.
#ifndef DIFFUSIOND_SERVER_SERVER_CONFIG_H_
#define DIFFUSIOND_SERVER_SERVER_CONFIG_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/http/http_limits.h"
#include "server/access/access_control.h"
#include "server/connections/connection_book.h"
#include "server/logging/log_record.h"
#include "server/server_flags.h"
#include "server/worker/model_loader.h"

namespace diffusiond {

// What some flags come to.
struct ParsedFlags {
  AccessControl::Options access;  // Without clock, log and metrics.
  LogFormat log_format = LogFormat::kText;
  LogLevel log_level = LogLevel::kInfo;
  std::vector<DeviceSpec> devices;
  std::map<std::string, double> tenant_weights;
};

// Everything that is wrong with the flags, one sentence each: flag, value, range. `parsed` is good
// if nothing is.
std::vector<std::string> CheckFlags(const ServerFlags& flags, int machine_cores,
                                    ParsedFlags* parsed);

// Of the gRPC port.
ConnectionBook::Limits ConnectionLimitsOf(const ServerFlags& flags);

// Of the HTTP port.
HttpLimits HttpLimitsOf(const ServerFlags& flags);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_SERVER_CONFIG_H_
