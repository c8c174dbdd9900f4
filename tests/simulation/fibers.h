// Threads of a world that has one processor, one clock and one dice: all that a seed decides.
#ifndef DIFFUSIOND_TESTS_SIMULATION_FIBERS_H_
#define DIFFUSIOND_TESTS_SIMULATION_FIBERS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "tests/simulation/dice.h"

namespace diffusiond {

// Runs threads of code that knows nothing of it, one at a time, on the thread that calls Run.
// fiber_threads.cc puts it in the place of pthread_create and of absl's Mutex and CondVar: where
// one of them could wait, or let another go first, the dice say who goes on. Time stands still
// while anybody can go on, and then moves to the first moment at which somebody wants to.
class Fibers {
 public:
  struct Options {
    uint64_t seed = 0;
    double preempt = 0;   // Of the locks that are free, those before which another goes first.
    double spurious = 0;  // Of the waits on a CondVar, those that end for no reason.
    int64_t max_switches = 1'000'000;
    absl::Duration longest = absl::Hours(24 * 30);  // Somebody who looks at intervals never ends.
  };
  enum class End {
    kDone,     // Every thread has ended.
    kStopped,  // By Stop.
    kStuck,    // Some have not, and never will.
    kSpins,    // max_switches were not enough.
  };

  explicit Fibers(Options options);
  ~Fibers();
  Fibers(const Fibers&) = delete;

  // Null outside of Run.
  static Fibers* Active();

  // Runs `main` and all that it starts, until all have ended. After another end than kDone, what
  // they held on their stacks is lost, and this must not be used any more.
  End Run(std::function<void()> main);

  // For the code that runs.
  int Spawn(std::string name, std::function<void()> body);
  void Name(std::string name);
  const std::string& name() const;
  absl::Time Now() const { return now_; }
  void SleepUntil(absl::Time time);
  void Sleep(absl::Duration duration) { SleepUntil(now_ + duration); }
  void Join(int fiber);
  // Ends the run. Does not return.
  [[noreturn]] void Stop();
  // Waits until somebody wakes those who wait on `thing`; false: not until `deadline`.
  bool Wait(const void* thing, absl::Time deadline = absl::InfiniteFuture());
  void WakeAll(const void* thing);
  void WakeOne(const void* thing);
  bool IsWaitedFor(const void* thing) const;
  // Whether to let another go first now, and does so.
  void MayYield();
  bool Spurious() { return options_.spurious > 0 && dice_.Chance(options_.spurious); }

  // Names of those who wait.
  std::string WhoWaits() const;
  // Called before time moves on, when nobody can do anything more now. Must not wait.
  void OnQuiet(std::function<void()> check) { on_quiet_ = std::move(check); }
  // Of who went on, when and in which order.
  uint64_t trace() const { return trace_; }
  void Trace(uint64_t what) { trace_ = Mix(trace_ ^ what); }
  int64_t switches() const { return switches_; }

 private:
  struct Fiber;

  static void Enter();
  void Resume(Fiber* next);
  // Gives the processor away; the caller has said where it can be found again.
  void GiveWay();
  Fiber* Next();
  void Ready(Fiber* fiber);

  const Options options_;
  Dice dice_;
  const absl::Time began_;
  absl::Time now_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> ready_;
  std::vector<Fiber*> waiting_;
  std::set<std::pair<absl::Time, int>> timers_;
  std::unique_ptr<Fiber> outside_;  // Whoever called Run.
  Fiber* current_ = nullptr;
  End end_ = End::kDone;
  int alive_ = 0;
  int64_t switches_ = 0;
  uint64_t trace_ = 0;
  std::function<void()> on_quiet_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SIMULATION_FIBERS_H_
