#include "server/connections/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// How long accepting rests when the machine is short of something, and how often the number of
// open connections is told.
constexpr int kRestMs = 100;
constexpr int kTellEveryMs = 1'000;

// The time that what was sent may stay without an answer of the other end's machine, as gRPC sets
// it where there are keepalive pings.
constexpr unsigned int kUserTimeoutMs = 20'000;

int Accept(int listening, sockaddr_storage* peer) {
  socklen_t size = sizeof(*peer);
  return accept4(listening, reinterpret_cast<sockaddr*>(peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int OpenReserve() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

bool IsOutOfDescriptors(int fault) { return fault == EMFILE || fault == ENFILE; }

// Nothing waits, or who waited has gone; not a fault of ours.
bool IsNobody(int fault) {
  return fault == EAGAIN || fault == EWOULDBLOCK || fault == ECONNABORTED || fault == EINTR ||
         fault == EPROTO || fault == ENETDOWN || fault == EHOSTDOWN || fault == ENETUNREACH ||
         fault == EHOSTUNREACH;
}

bool SomebodyWaits(int listening) {
  pollfd watched = {.fd = listening, .events = POLLIN, .revents = 0};
  return poll(&watched, 1, 0) > 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Bind(Options options) {
  if (options.accept == nullptr) options.accept = Accept;
  ASSIGN_OR_RETURN(ListeningSockets sockets, ListenOn(options.address));
  const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::unique_ptr<Listener> listener(new Listener(std::move(options), std::move(sockets), wake));
  if (wake < 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen: eventfd: ", std::strerror(errno)));
  }
  return listener;
}

Listener::Listener(Options options, ListeningSockets sockets, int wake)
    : options_(std::move(options)),
      sockets_(std::move(sockets)),
      wake_(wake),
      book_(std::make_shared<ConnectionBook>(options_.limits)),
      rate_(options_.rate) {}

Listener::~Listener() {
  Close();
  if (wake_ >= 0) close(wake_);
}

void Listener::Start(std::function<void(int descriptor)> take) {
  take_ = std::move(take);
  thread_ = std::thread([this] { AcceptUntilClosed(); });
}

void Listener::Close() {
  if (closed_.exchange(true)) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof(one));
  if (thread_.joinable()) thread_.join();
  for (const int descriptor : sockets_.descriptors) close(descriptor);
}

void Listener::AcceptUntilClosed() {
  reserve_ = OpenReserve();
  std::vector<pollfd> watched = {{.fd = wake_, .events = POLLIN, .revents = 0}};
  for (const int descriptor : sockets_.descriptors) {
    watched.push_back({.fd = descriptor, .events = POLLIN, .revents = 0});
  }
  bool rests = false;
  while (true) {
    // Resting, it looks at nothing but the wish to close.
    const int ready =
        poll(watched.data(), rests ? 1 : watched.size(), rests ? kRestMs : kTellEveryMs);
    if (watched[0].revents != 0) break;
    if (reserve_ < 0) reserve_ = OpenReserve();
    const bool looks = !rests && ready > 0;
    rests = false;
    for (size_t i = 1; looks && i < watched.size(); ++i) {
      if (watched[i].revents != 0 && !AcceptAll(watched[i].fd)) rests = true;
    }
    if (options_.metrics == nullptr) continue;
    options_.metrics->OnOpenConnections(book_->CountOpen(), book_->CountCalls());
  }
  // Whom the kernel has let in already: closing would turn them away.
  for (size_t i = 1; i < watched.size(); ++i) AcceptAll(watched[i].fd);
  if (reserve_ >= 0) close(reserve_);
}

bool Listener::AcceptAll(int listening) {
  while (true) {
    sockaddr_storage peer = {};
    const int descriptor = options_.accept(listening, &peer);
    if (descriptor >= 0) {
      Judge(descriptor, peer);
      continue;
    }
    if (IsNobody(errno)) return true;
    if (!IsOutOfDescriptors(errno) || reserve_ < 0) return false;
    // Before it looks whether anybody waits, the kernel wants a descriptor. The reserve is not
    // given up for nobody: another thread might take it.
    if (!SomebodyWaits(listening)) return true;
    TurnAwayOne(listening);
    if (reserve_ < 0) return false;
  }
}

void Listener::Judge(int descriptor, const sockaddr_storage& peer) {
  const char* const limit = LimitPassedBy(descriptor, peer);
  if (limit == nullptr) {
    const int yes = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs, sizeof(kUserTimeoutMs));
    take_(descriptor);
    return;
  }
  ResetConnection(descriptor);
  if (options_.metrics != nullptr) options_.metrics->OnConnectionRefused(limit);
}

const char* Listener::LimitPassedBy(int descriptor, const sockaddr_storage& peer) {
  switch (rate_.Take(HostOf(peer))) {
    case ConnectionRate::Verdict::kTooMany:
      return "max_connections_per_second";
    case ConnectionRate::Verdict::kTooManyOfAddress:
      return "max_connections_per_second_per_address";
    case ConnectionRate::Verdict::kTaken:
      break;
  }
  switch (book_->Take(descriptor, PeerOf(peer))) {
    case ConnectionBook::Verdict::kTooMany:
      return "max_connections";
    case ConnectionBook::Verdict::kTooManyOfAddress:
      return "max_connections_per_address";
    case ConnectionBook::Verdict::kTakenForIdle:
      if (options_.metrics != nullptr) options_.metrics->OnConnectionEvicted();
      break;
    case ConnectionBook::Verdict::kTaken:
      break;
  }
  return nullptr;
}

void Listener::TurnAwayOne(int listening) {
  close(reserve_);
  sockaddr_storage peer = {};
  const int descriptor = options_.accept(listening, &peer);
  if (descriptor >= 0) {
    ResetConnection(descriptor);
    if (options_.metrics != nullptr) options_.metrics->OnConnectionRefused("descriptors");
  }
  reserve_ = OpenReserve();
}

}  // namespace diffusiond
