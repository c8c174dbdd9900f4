#include "model/process/listening_socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace diffusiond {
namespace {

struct HostAndPort {
  std::string host, port;
};

std::optional<HostAndPort> Split(absl::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos) return std::nullopt;
  absl::string_view host = address.substr(0, colon);
  const absl::string_view port = address.substr(colon + 1);
  int number = 0;
  if (port.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(port, &number) || number > 65535) {
    return std::nullopt;
  }
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const bool ipv6 = host.find(':') != absl::string_view::npos;
  if (host.empty() || ipv6 != bracketed || host.find_first_of("[] ") != absl::string_view::npos) {
    return std::nullopt;
  }
  return HostAndPort{std::string(host), std::string(port)};
}

// The port, or -1 with errno set.
int Listen(int descriptor, const addrinfo& address) {
  const int on = 1, off = 0;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (address.ai_family == AF_INET6) {
    setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  }
  sockaddr_storage bound = {};
  socklen_t size = sizeof(bound);
  if (bind(descriptor, address.ai_addr, address.ai_addrlen) != 0 ||
      listen(descriptor, SOMAXCONN) != 0 ||
      getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    return -1;
  }
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                           : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
}

}  // namespace

absl::StatusOr<ListeningSocket> ListenOn(const std::string& address) {
  const std::optional<HostAndPort> parts = Split(address);
  if (!parts.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "address '", address, "', expected host:port or [IPv6]:port, port 0 .. 65535"));
  }
  addrinfo wanted = {};
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(parts->host.c_str(), parts->port.c_str(), &wanted, &found);
  std::string reason = failed == 0 ? "" : gai_strerror(failed);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    const int descriptor = socket(each->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int port = descriptor < 0 ? -1 : Listen(descriptor, *each);
    if (port >= 0) return ListeningSocket{.descriptor = descriptor, .port = port};
    reason = std::strerror(errno);
    if (descriptor >= 0) close(descriptor);
  }
  return absl::UnavailableError(absl::StrCat("cannot listen on '", address, "': ", reason));
}

}  // namespace diffusiond
