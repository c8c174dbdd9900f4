#include "server/connections/connection_book.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace diffusiond {

ConnectionBook::~ConnectionBook() {
  for (const int descriptor : held_) close(descriptor);
}

ConnectionBook::Verdict ConnectionBook::Take(int descriptor, const std::string& address) {
  struct stat status = {};
  const bool is_open = fstat(descriptor, &status) == 0;
  absl::MutexLock lock(&mu_);
  // A descriptor that is given out again was closed before.
  const bool known = open_.contains(descriptor);
  if (known || Judge(address) != Verdict::kTaken) ForgetClosed();
  const Verdict verdict = Judge(address);
  if (verdict != Verdict::kTaken || !is_open) return verdict;
  open_[descriptor] = {.device = status.st_dev, .inode = status.st_ino, .address = address};
  ++by_address_[address];
  return verdict;
}

int ConnectionBook::CountOpen() {
  absl::MutexLock lock(&mu_);
  ForgetClosed();
  return static_cast<int>(open_.size());
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
  if (static_cast<int>(open_.size()) >= limits_.total) return Verdict::kTooMany;
  const auto found = by_address_.find(address);
  const bool full = found != by_address_.end() && found->second >= limits_.per_address;
  return full ? Verdict::kTooManyOfAddress : Verdict::kTaken;
}

void ConnectionBook::ForgetClosed() {
  for (auto entry = open_.begin(); entry != open_.end();) {
    const auto& [descriptor, connection] = *entry;
    struct stat status = {};
    const bool is_same = fstat(descriptor, &status) == 0 && status.st_dev == connection.device &&
                         status.st_ino == connection.inode;
    if (is_same) {
      ++entry;
      continue;
    }
    const auto address = by_address_.find(connection.address);
    if (--address->second == 0) by_address_.erase(address);
    entry = open_.erase(entry);
  }
}

}  // namespace diffusiond
