// Threads that read what strangers sent, and write what is long, away from those that answer calls.
#ifndef DIFFUSIOND_SERVER_IMAGING_DECODER_POOL_H_
#define DIFFUSIOND_SERVER_IMAGING_DECODER_POOL_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace diffusiond {

// Jobs of one address run in the order they came; addresses take turns, so that many jobs of one
// make nobody else wait for more than a few. Thread-safe.
class DecoderPool {
 public:
  static constexpr int kMaxThreads = 256;

  struct Options {
    int threads = 1;                  // 1 .. kMaxThreads.
    int max_queued = 64;              // Jobs that wait for a thread, at least 1.
    int max_queued_per_address = 16;  // Those of one address, at least 1.
  };

  // INVALID_ARGUMENT names the option, its value and its range.
  static absl::StatusOr<std::unique_ptr<DecoderPool>> Create(Options options);

  // Jobs that still wait are dropped; those running are waited for.
  ~DecoderPool();

  // False, and nothing done: too many wait, of this address or of all.
  [[nodiscard]] bool Schedule(const std::string& address, std::function<void()> job);

  // The same for what is to be sent of a call that is done: as many may wait as there are calls,
  // and they keep nobody's place. False: the pool is at its end.
  [[nodiscard]] bool ScheduleAnswer(const std::string& address, std::function<void()> job);

 private:
  struct Job {
    std::function<void()> run;
    bool counts = true;  // For the limits.
  };
  struct Jobs {
    std::deque<Job> jobs;
    int counted = 0;
  };

  explicit DecoderPool(Options options);

  void WorkUntilStopped();
  void Add(const std::string& address, Job job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::function<void()> TakeNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Options options_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  int counted_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::string, Jobs> waiting_ ABSL_GUARDED_BY(mu_);  // By address; none is empty.
  std::deque<std::string> turns_ ABSL_GUARDED_BY(mu_);        // The addresses of `waiting_`.
  std::vector<std::thread> threads_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_IMAGING_DECODER_POOL_H_
