// Who is connected: how many, whose, and who goes when one more comes.
#ifndef DIFFUSIOND_MODEL_HTTP_CONNECTION_TABLE_H_
#define DIFFUSIOND_MODEL_HTTP_CONNECTION_TABLE_H_

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace diffusiond {

// What a table can ask of a connection. Thread-safe; returns before it is done.
class TabledConnection {
 public:
  virtual ~TabledConnection() = default;
  virtual void Evict() = 0;
  // Idle: closed. With a request: closed after its answer.
  virtual void Drain() = 0;
  virtual void Cut() = 0;
};

// Thread-safe. Holds its connections: one may wait for nothing but an answer. An evicted connection
// is not counted from then on.
class ConnectionTable {
 public:
  using Id = uint64_t;
  enum class Limit { kNone, kConnections, kConnectionsOfAddress };
  struct Admission {
    Limit refused_by = Limit::kNone;
    Id id = 0;
    std::shared_ptr<TabledConnection> evicted = nullptr;
  };

  ConnectionTable(int max_connections, int max_connections_per_address);

  Admission Admit(const std::string& address);
  // Of an admitted one. False: it was evicted before it was there.
  bool Attach(Id id, std::shared_ptr<TabledConnection> connection);
  // The one longest without a request in work goes; nullptr: all have one.
  std::shared_ptr<TabledConnection> EvictOne();
  // It has a request in work, and stays. False: it was evicted.
  bool Begin(Id id);
  // It has none any more, and has had one last of all.
  void Finish(Id id);
  void Remove(Id id);

  std::vector<std::shared_ptr<TabledConnection>> All() const;
  int Count() const;
  // False: some are left after so long.
  bool AwaitEmpty(absl::Duration limit) const;

 private:
  struct Entry {
    std::string address;
    std::shared_ptr<TabledConnection> connection;
    bool idle = true;
    std::list<Id>::iterator place;  // In idle_, if it is.
  };

  Id LongestIdle(const std::string* address) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<TabledConnection> RemoveLocked(Id id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_connections_;
  const int max_connections_per_address_;
  mutable absl::Mutex mutex_;
  Id next_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<Id, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> by_address_ ABSL_GUARDED_BY(mutex_);
  std::list<Id> idle_ ABSL_GUARDED_BY(mutex_);  // The longest first.
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_CONNECTION_TABLE_H_
