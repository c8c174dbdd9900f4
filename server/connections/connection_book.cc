#include "server/connections/connection_book.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_replace.h"
#include "model/process/listening_sockets.h"

namespace diffusiond {

// All but what never changes is guarded by the book's mutex.
struct ConnectionBook::Connection {
  dev_t device = 0;
  ino_t inode = 0;
  std::string peer;
  std::string address;
  int calls = 0;
  uint64_t idle_since = 0;  // In turns.
  bool noted = true;        // In the book.
};

namespace {

// As PeerOf writes it; gRPC escapes brackets, and adds the zone of a link-local address.
std::string AsNoted(const std::string& peer) {
  std::string text = absl::StrReplaceAll(peer, {{"%5B", "["}, {"%5D", "]"}});
  const size_t zone = text.find('%');
  if (zone != std::string::npos) text.erase(zone, text.find(']', zone) - zone);
  return text;
}

template <typename Identity>
bool IsSame(int descriptor, const Identity& connection) {
  struct stat status = {};
  return fstat(descriptor, &status) == 0 && status.st_dev == connection.device &&
         status.st_ino == connection.inode;
}

}  // namespace

ConnectionBook::~ConnectionBook() {
  for (const int descriptor : held_) close(descriptor);
}

ConnectionBook::Verdict ConnectionBook::Take(int descriptor, const std::string& peer) {
  struct stat status = {};
  const bool is_open = fstat(descriptor, &status) == 0;
  auto connection = std::make_shared<Connection>();
  connection->device = status.st_dev;
  connection->inode = status.st_ino;
  connection->peer = AsNoted(peer);
  connection->address = HostOfPeer(connection->peer);
  absl::MutexLock lock(&mu_);
  // A descriptor that is given out again was closed before.
  const bool known = open_.contains(descriptor);
  if (known || Judge(connection->address) != Verdict::kTaken) ForgetClosed();
  Verdict verdict = Judge(connection->address);
  if (verdict != Verdict::kTaken) {
    const bool of_address = verdict == Verdict::kTooManyOfAddress;
    if (!CloseLongestIdle(of_address ? &connection->address : nullptr)) return verdict;
    verdict = Verdict::kTakenForIdle;
  }
  if (!is_open) return verdict;
  connection->idle_since = ++turn_;
  ++by_address_[connection->address].connections;
  by_peer_[connection->peer] = connection;
  open_[descriptor] = std::move(connection);
  return verdict;
}

int ConnectionBook::CountOpen() {
  absl::MutexLock lock(&mu_);
  ForgetClosed();
  return static_cast<int>(open_.size());
}

int ConnectionBook::CountCalls() {
  absl::MutexLock lock(&mu_);
  return calls_;
}

std::shared_ptr<ConnectionBook::Connection> ConnectionBook::BeginCall(const std::string& peer) {
  const std::string noted = AsNoted(peer);
  absl::MutexLock lock(&mu_);
  const auto found = by_peer_.find(noted);
  if (found == by_peer_.end()) return nullptr;
  ++found->second->calls;
  ++by_address_[found->second->address].calls;
  ++calls_;
  return found->second;
}

void ConnectionBook::EndCall(const std::shared_ptr<Connection>& connection) {
  if (connection == nullptr) return;
  absl::MutexLock lock(&mu_);
  if (--connection->calls == 0) connection->idle_since = ++turn_;
  if (!connection->noted) return;
  --by_address_[connection->address].calls;
  --calls_;
}

const char* ConnectionBook::CallLimitPassed(const std::string& peer) {
  const std::string noted = AsNoted(peer);
  absl::MutexLock lock(&mu_);
  const auto found = by_peer_.find(noted);
  if (found == by_peer_.end()) return nullptr;
  if (by_address_[found->second->address].calls > limits_.calls_per_address) {
    return "max_calls_per_address";
  }
  return calls_ > limits_.calls ? "max_calls" : nullptr;
}

void ConnectionBook::HoldOpen() {
  absl::MutexLock lock(&mu_);
  ForgetClosed();
  for (const auto& [descriptor, connection] : open_) {
    const int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0) held_.push_back(copy);
  }
}

ConnectionBook::Verdict ConnectionBook::Judge(const std::string& address) const {
  const auto found = by_address_.find(address);
  if (found != by_address_.end() && found->second.connections >= limits_.per_address) {
    return Verdict::kTooManyOfAddress;
  }
  return static_cast<int>(open_.size()) >= limits_.total ? Verdict::kTooMany : Verdict::kTaken;
}

void ConnectionBook::ForgetClosed() {
  for (auto entry = open_.begin(); entry != open_.end();) {
    entry = IsSame(entry->first, *entry->second) ? std::next(entry) : Forget(entry);
  }
}

ConnectionBook::Entry ConnectionBook::Forget(Entry entry) {
  Connection& connection = *entry->second;
  const auto address = by_address_.find(connection.address);
  address->second.calls -= connection.calls;
  calls_ -= connection.calls;
  if (--address->second.connections == 0) by_address_.erase(address);
  // Its port may have come again before its end was seen.
  const auto peer = by_peer_.find(connection.peer);
  if (peer != by_peer_.end() && peer->second == entry->second) by_peer_.erase(peer);
  connection.noted = false;
  return open_.erase(entry);
}

bool ConnectionBook::CloseLongestIdle(const std::string* address) {
  auto longest = open_.end();
  for (auto entry = open_.begin(); entry != open_.end(); ++entry) {
    const Connection& connection = *entry->second;
    if (connection.calls > 0 || (address != nullptr && connection.address != *address)) continue;
    if (longest == open_.end() || connection.idle_since < longest->second->idle_since) {
      longest = entry;
    }
  }
  if (longest == open_.end()) return false;
  // Its owner may close it meanwhile, and the number may come again: a copy stays what it is.
  const int copy = fcntl(longest->first, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return false;
  if (IsSame(copy, *longest->second)) shutdown(copy, SHUT_RDWR);
  close(copy);
  Forget(longest);
  return true;
}

}  // namespace diffusiond
