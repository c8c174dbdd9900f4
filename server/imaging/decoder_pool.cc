#include "server/imaging/decoder_pool.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

constexpr int kNice = 10;  // A tenth of the processor time that another thread has beside it.

}  // namespace

absl::StatusOr<std::unique_ptr<DecoderPool>> DecoderPool::Create(Options options) {
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("decoder threads is ", options.threads, ", allowed: 1 to ", kMaxThreads));
  }
  if (options.max_queued < 1 || options.max_queued_per_address < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_queued is ", options.max_queued, " and max_queued_per_address is ",
                     options.max_queued_per_address, ", allowed: 1 or more"));
  }
  return std::unique_ptr<DecoderPool>(new DecoderPool(options));
}

DecoderPool::DecoderPool(Options options) : options_(options) {
  for (int i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this] {
      pthread_setname_np(pthread_self(), "pictures");
      // A flood of pictures takes what is left by those who draw and those who answer. On Linux
      // this is the thread's; should it fail, it has the priority of all.
      setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
      WorkUntilStopped();
    });
  }
}

DecoderPool::~DecoderPool() {
  std::map<std::string, Jobs> dropped;  // Goes without the lock.
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    dropped.swap(waiting_);
  }
  for (std::thread& thread : threads_) thread.join();
}

bool DecoderPool::Schedule(const std::string& address, std::function<void()> job) {
  absl::MutexLock lock(&mu_);
  if (stopping_ || counted_ >= options_.max_queued) return false;
  const auto found = waiting_.find(address);
  if (found != waiting_.end() && found->second.counted >= options_.max_queued_per_address) {
    return false;
  }
  Add(address, {.run = std::move(job)});
  return true;
}

bool DecoderPool::ScheduleAnswer(const std::string& address, std::function<void()> job) {
  absl::MutexLock lock(&mu_);
  if (stopping_) return false;
  Add(address, {.run = std::move(job), .counts = false});
  return true;
}

void DecoderPool::Add(const std::string& address, Job job) {
  Jobs& of_address = waiting_[address];
  if (of_address.jobs.empty()) turns_.push_back(address);
  const int counts = job.counts ? 1 : 0;
  of_address.counted += counts;
  counted_ += counts;
  of_address.jobs.push_back(std::move(job));
}

std::function<void()> DecoderPool::TakeNext() {
  std::string address = std::move(turns_.front());
  turns_.pop_front();
  const auto found = waiting_.find(address);
  Job job = std::move(found->second.jobs.front());
  found->second.jobs.pop_front();
  const int counted = job.counts ? 1 : 0;
  found->second.counted -= counted;
  counted_ -= counted;
  if (found->second.jobs.empty()) {
    waiting_.erase(found);
  } else {
    turns_.push_back(std::move(address));
  }
  return std::move(job.run);
}

void DecoderPool::WorkUntilStopped() {
  const auto has_work_or_stops = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopping_ || !turns_.empty();
  };
  while (true) {
    std::function<void()> job;
    {
      absl::MutexLock lock(&mu_, absl::Condition(&has_work_or_stops));
      if (stopping_) return;
      job = TakeNext();
    }
    job();
  }
}

}  // namespace diffusiond
