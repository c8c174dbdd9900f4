#include "server/metrics/metrics_server.h"

#include <exception>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace diffusiond {
namespace {

// CivetWeb, below, reads more into this string than an address: lists, "s" for TLS, "r" for
// redirection. Only an address may reach it.
bool IsHostAndPort(absl::string_view listen) {
  const size_t colon = listen.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return false;
  if (listen.find_first_of(", ") != absl::string_view::npos) return false;
  const absl::string_view port = listen.substr(colon + 1);
  int number = 0;
  return port.find_first_not_of("0123456789") == absl::string_view::npos &&
         absl::SimpleAtoi(port, &number) && number <= 65535;
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const std::string& listen, std::shared_ptr<prometheus::Registry> registry) {
  if (!IsHostAndPort(listen)) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics address '", listen, "', expected host:port, port 0 to 65535"));
  }
  try {
    return std::unique_ptr<MetricsServer>(new MetricsServer(listen, std::move(registry)));
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("cannot serve metrics at '", listen, "': ", error.what()));
  }
}

MetricsServer::MetricsServer(const std::string& listen,
                             std::shared_ptr<prometheus::Registry> registry)
    : registry_(std::move(registry)), exposer_(listen) {
  exposer_.RegisterCollectable(registry_);
}

int MetricsServer::port() const { return exposer_.GetListeningPorts().front(); }

}  // namespace diffusiond
