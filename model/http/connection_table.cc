#include "model/http/connection_table.h"

#include <algorithm>
#include <utility>

namespace diffusiond {

ConnectionTable::ConnectionTable(int max_connections, int max_connections_per_address)
    : max_connections_(static_cast<size_t>(std::max(1, max_connections))),
      max_connections_per_address_(std::max(1, max_connections_per_address)) {}

// 0: none. Of one address, or of all.
ConnectionTable::Id ConnectionTable::LongestIdle(const std::string* address) const {
  for (const Id id : idle_) {
    if (address == nullptr || entries_.at(id).address == *address) return id;
  }
  return 0;
}

std::shared_ptr<TabledConnection> ConnectionTable::RemoveLocked(Id id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return nullptr;
  Entry entry = std::move(found->second);
  entries_.erase(found);
  if (entry.idle) idle_.erase(entry.place);
  const auto count = by_address_.find(entry.address);
  if (--count->second == 0) by_address_.erase(count);
  return std::move(entry.connection);
}

ConnectionTable::Admission ConnectionTable::Admit(const std::string& address) {
  absl::MutexLock lock(&mutex_);
  Admission admission;
  const auto count = by_address_.find(address);
  const bool address_full =
      count != by_address_.end() && count->second >= max_connections_per_address_;
  if (address_full || entries_.size() >= max_connections_) {
    const Id evicted = LongestIdle(address_full ? &address : nullptr);
    if (evicted == 0) {
      admission.refused_by = address_full ? Limit::kConnectionsOfAddress : Limit::kConnections;
      return admission;
    }
    admission.evicted = RemoveLocked(evicted);
  }
  admission.id = next_++;
  Entry& entry = entries_[admission.id];
  entry.address = address;
  entry.place = idle_.insert(idle_.end(), admission.id);
  ++by_address_[address];
  return admission;
}

bool ConnectionTable::Attach(Id id, std::shared_ptr<TabledConnection> connection) {
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) return false;
  found->second.connection = std::move(connection);
  return true;
}

std::shared_ptr<TabledConnection> ConnectionTable::EvictOne() {
  absl::MutexLock lock(&mutex_);
  const Id id = LongestIdle(nullptr);
  return id == 0 ? nullptr : RemoveLocked(id);
}

bool ConnectionTable::Begin(Id id) {
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) return false;
  if (std::exchange(found->second.idle, false)) idle_.erase(found->second.place);
  return true;
}

void ConnectionTable::Finish(Id id) {
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  if (std::exchange(found->second.idle, true)) idle_.erase(found->second.place);
  found->second.place = idle_.insert(idle_.end(), id);
}

void ConnectionTable::Remove(Id id) {
  std::shared_ptr<TabledConnection> removed;
  absl::MutexLock lock(&mutex_);
  removed = RemoveLocked(id);
}

std::vector<std::shared_ptr<TabledConnection>> ConnectionTable::All() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<TabledConnection>> all;
  for (const auto& [id, entry] : entries_) {
    if (entry.connection != nullptr) all.push_back(entry.connection);
  }
  return all;
}

int ConnectionTable::Count() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(entries_.size());
}

bool ConnectionTable::AwaitEmpty(absl::Duration limit) const {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(
      absl::Condition(
          +[](const std::map<Id, Entry>* entries) { return entries->empty(); }, &entries_),
      limit);
}

}  // namespace diffusiond
