#include "model/process/listening_sockets.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// Connections that wait to be accepted; Linux allows 4096 by default.
constexpr int kBacklog = 4096;

constexpr int kMaxPort = 65535;

struct HostAndPort {
  std::string host;
  int port = 0;
};

struct FreeAddresses {
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

absl::Status CannotListen(const std::string& address, const std::string& why) {
  return absl::UnavailableError(absl::StrCat("cannot listen on ", address, ": ", why));
}

absl::StatusOr<HostAndPort> Split(const std::string& address) {
  const size_t colon = std::min(address.rfind(':'), address.size());
  const absl::string_view all(address);
  absl::string_view host = all.substr(0, colon);
  const absl::string_view port = colon < all.size() ? all.substr(colon + 1) : "";
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const bool is_host = !host.empty() && absl::StrContains(host, ':') == bracketed &&
                       host.find_first_of("[] ") == absl::string_view::npos;
  HostAndPort split{.host = std::string(host)};
  const bool is_port = port.find_first_not_of("0123456789") == absl::string_view::npos &&
                       absl::SimpleAtoi(port, &split.port) && split.port <= kMaxPort;
  if (is_host && is_port) return split;
  return absl::InvalidArgumentError(absl::StrCat(
      "address '", address, "', expected host:port or [IPv6]:port, port 0 .. ", kMaxPort));
}

absl::StatusOr<Addresses> Resolve(const std::string& host) {
  addrinfo wanted = {};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int fault = getaddrinfo(host.c_str(), nullptr, &wanted, &found); fault != 0) {
    return absl::UnavailableError(gai_strerror(fault));
  }
  return Addresses(found);
}

void SetPort(sockaddr_storage& address, int port) {
  const in_port_t wire = htons(static_cast<in_port_t>(port));
  if (address.ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6&>(address).sin6_port = wire;
  } else {
    reinterpret_cast<sockaddr_in&>(address).sin_port = wire;
  }
}

int PortOf(int descriptor) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

// A socket that listens, or -1 with errno.
int Listen(const addrinfo& at, int port, bool both_families) {
  const int descriptor =
      socket(at.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
  if (descriptor < 0) return -1;
  const int yes = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (at.ai_family == AF_INET6) {
    const int only = both_families ? 0 : 1;
    setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
  }
  sockaddr_storage address = {};
  std::memcpy(&address, at.ai_addr, at.ai_addrlen);
  SetPort(address, port);
  if (bind(descriptor, reinterpret_cast<sockaddr*>(&address), at.ai_addrlen) == 0 &&
      listen(descriptor, kBacklog) == 0) {
    return descriptor;
  }
  const int fault = errno;
  close(descriptor);
  errno = fault;
  return -1;
}

bool IsWildcard(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

// The machine has no such family, or no address of it.
bool IsMissingFamily(int fault) { return fault == EAFNOSUPPORT || fault == EADDRNOTAVAIL; }

void CloseAll(const ListeningSockets& sockets) {
  for (const int descriptor : sockets.descriptors) close(descriptor);
}

}  // namespace

absl::StatusOr<ListeningSockets> ListenOn(const std::string& address) {
  ASSIGN_OR_RETURN(const HostAndPort split, Split(address));
  // One socket of IPv6 takes both families, if there is IPv6.
  const bool wildcard = IsWildcard(split.host);
  absl::StatusOr<Addresses> found = Resolve(wildcard ? "::" : split.host);
  if (!found.ok()) return CannotListen(address, std::string(found.status().message()));
  ListeningSockets sockets;
  sockets.port = split.port;
  int fault = 0;
  for (const addrinfo* at = found->get(); at != nullptr; at = at->ai_next) {
    int descriptor = Listen(*at, sockets.port, wildcard);
    if (descriptor < 0 && wildcard && IsMissingFamily(errno)) {
      found = Resolve("0.0.0.0");
      if (!found.ok()) return CannotListen(address, std::string(found.status().message()));
      at = found->get();
      descriptor = Listen(*at, sockets.port, /*both_families=*/false);
    }
    if (descriptor >= 0) {
      sockets.descriptors.push_back(descriptor);
      sockets.port = PortOf(descriptor);
      continue;
    }
    fault = errno;
    if (IsMissingFamily(fault)) continue;
    CloseAll(sockets);
    return CannotListen(address, std::strerror(fault));
  }
  if (sockets.descriptors.empty()) return CannotListen(address, std::strerror(fault));
  return sockets;
}

std::string HostOf(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    const auto& ipv4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &ipv4.sin_addr, text, sizeof(text));
    return absl::StrCat("ipv4:", text);
  }
  if (address.ss_family != AF_INET6) return "unknown";
  const in6_addr& ipv6 = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&ipv6)) {
    inet_ntop(AF_INET, &ipv6.s6_addr[12], text, sizeof(text));
    return absl::StrCat("ipv4:", text);
  }
  in6_addr network = ipv6;
  std::fill(std::begin(network.s6_addr) + 8, std::end(network.s6_addr), 0);
  inet_ntop(AF_INET6, &network, text, sizeof(text));
  return absl::StrCat("ipv6:[", text, "]");
}

std::string PeerOf(const sockaddr_storage& address) {
  std::string host = HostOf(address);
  if (address.ss_family == AF_INET) {
    return absl::StrCat(host, ":", ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port));
  }
  if (address.ss_family != AF_INET6) return host;
  const auto& ipv6 = reinterpret_cast<const sockaddr_in6&>(address);
  const int port = ntohs(ipv6.sin6_port);
  if (IN6_IS_ADDR_V4MAPPED(&ipv6.sin6_addr)) return absl::StrCat(host, ":", port);
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(AF_INET6, &ipv6.sin6_addr, text, sizeof(text));
  return absl::StrCat("ipv6:[", text, "]:", port);
}

void ResetConnection(int descriptor) {
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close(descriptor);
}

bool IsLoopback(const std::string& address) {
  const size_t bracket = address.rfind(']');
  const size_t colon = address.rfind(':');
  const bool has_port =
      colon != std::string::npos && (bracket == std::string::npos || bracket < colon);
  const std::string host = has_port ? address.substr(0, colon) : address;
  if (host == "localhost" || host == "[::1]") return true;
  // A name may begin with "127.", too.
  in_addr number = {};
  return absl::StartsWith(host, "127.") && inet_pton(AF_INET, host.c_str(), &number) == 1;
}

std::string HostOfPeer(const std::string& peer) {
  std::string host = peer.substr(0, peer.rfind(':'));
  if (absl::StartsWith(peer, "ipv4:")) return host;
  if (!absl::StartsWith(peer, "ipv6:")) return peer;
  const std::string bare = absl::StrReplaceAll(host.substr(std::string("ipv6:").size()),
                                               {{"%5B", ""}, {"%5D", ""}, {"[", ""}, {"]", ""}});
  sockaddr_storage address = {};
  address.ss_family = AF_INET6;
  // Without the zone of a link-local address.
  const std::string numbers = bare.substr(0, bare.find('%'));
  in6_addr& ipv6 = reinterpret_cast<sockaddr_in6&>(address).sin6_addr;
  return inet_pton(AF_INET6, numbers.c_str(), &ipv6) == 1 ? HostOf(address) : host;
}

}  // namespace diffusiond
