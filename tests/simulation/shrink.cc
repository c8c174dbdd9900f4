#include "tests/simulation/shrink.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/simulation/simulation.h"

namespace diffusiond {
namespace {

constexpr unsigned kLongestSeconds = 20;

// The promise's name, without what was wrong.
std::string NameOf(const std::string& broken) { return broken.substr(0, broken.find(':')); }

class Shrinker {
 public:
  explicit Shrinker(World world) : world_(std::move(world)), promise_(NameOf(BrokenIn(world_))) {}

  World Run() {
    if (promise_.empty()) return world_;
    bool smaller = true;
    while (smaller) {
      smaller = false;
      smaller |= LeaveOut(&World::requests);
      smaller |= LeaveOut(&World::faults);
      smaller |= LeaveOut(&World::changes);
      smaller |= CalmWorld();
      for (size_t i = 0; i < world_.requests.size(); ++i) smaller |= CalmRequest(i);
    }
    return world_;
  }

 private:
  // Takes the change if the promise is still broken.
  bool Try(const std::function<void(World&)>& change) {
    World changed = world_;
    change(changed);
    if (changed.requests.empty() || NameOf(BrokenIn(changed)) != promise_) return false;
    world_ = std::move(changed);
    return true;
  }

  // Halves first, then single ones (Zeller and Hildebrandt 2002).
  template <typename Thing>
  bool LeaveOut(std::vector<Thing> World::*things) {
    bool smaller = false;
    for (size_t size = (world_.*things).size(); size > 0; size /= 2) {
      for (size_t begin = 0; begin < (world_.*things).size();) {
        const size_t end = std::min(begin + size, (world_.*things).size());
        const bool left_out = Try([&](World& world) {
          auto& all = world.*things;
          all.erase(all.begin() + static_cast<ptrdiff_t>(begin),
                    all.begin() + static_cast<ptrdiff_t>(end));
        });
        smaller |= left_out;
        if (!left_out) begin = end;
      }
    }
    return smaller;
  }

  // Sets a value, unless it has it.
  template <typename Get, typename T>
  bool Set(Get get, const T& value) {
    if (get(world_) == value) return false;
    return Try([&](World& world) { get(world) = value; });
  }

  bool CalmWorld() {
    const World usual;
    bool calmer = Set([](World& world) -> double& { return world.preempt; }, 0.0);
    calmer |= Set([](World& world) -> double& { return world.spurious; }, 0.0);
    calmer |= Set(
        [](World & world) -> auto& { return world.weights; }, usual.weights);
    calmer |= Set(
        [](World & world) -> auto& { return world.drain; }, usual.drain);
    calmer |= Set(
        [](World & world) -> auto& { return world.lone_workers; }, 0);
    calmer |= Set(
        [](World & world) -> auto& { return world.devices; }, 1);
    calmer |= Set(
        [](World & world) -> auto& { return world.max_resident; }, usual.max_resident);
    calmer |= Set(
        [](World & world) -> auto& { return world.queue_share; }, 1.0);
    calmer |= Set(
        [](World & world) -> auto& { return world.high_share; }, 1.0);
    calmer |= Set(
        [](World & world) -> auto& { return world.patience; }, usual.patience);
    calmer |= Set(
        [](World & world) -> auto& { return world.ageing; }, usual.ageing);
    calmer |= Set(
        [](World & world) -> auto& { return world.watchdog; }, usual.watchdog);
    calmer |= Set(
        [](World & world) -> auto& { return world.max_trajectories; }, usual.max_trajectories);
    return calmer;
  }

  bool CalmRequest(size_t index) {
    const auto set = [&](auto field, const auto& value) {
      return Set(
          [&](World & world) -> auto& { return world.requests[index].*field; }, value);
    };
    using Request = World::Request;
    const Request usual;
    bool calmer = set(&Request::at, absl::ZeroDuration());
    for (const auto field : {&Request::model, &Request::address, &Request::tenant,
                             &Request::retries, &Request::preview_every}) {
      calmer |= set(field, 0);
    }
    for (const auto field : {&Request::rows_a_step, &Request::guided, &Request::count}) {
      calmer |= set(field, 1);
    }
    calmer |= set(&Request::priority, usual.priority);
    calmer |= set(&Request::preview, usual.preview);
    calmer |= set(&Request::deadline, usual.deadline);
    calmer |= set(&Request::cancel, usual.cancel);
    calmer |= set(&Request::encode, usual.encode);
    calmer |= set(&Request::read, usual.read);
    calmer |= set(&Request::bad_row, usual.bad_row);
    calmer |= set(&Request::bad_encoding, usual.bad_encoding);
    const int steps = world_.requests[index].steps;
    for (const int fewer : {1, steps / 2, steps - 1}) {
      if (fewer >= 1 && fewer < steps && set(&Request::steps, fewer)) return true;
    }
    return calmer;
  }

  World world_;
  const std::string promise_;
};

}  // namespace

std::string BrokenIn(const World& world) {
  int ends[2];
  if (pipe(ends) != 0) return "";
  const pid_t child = fork();
  if (child == 0) {
    for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS}) std::signal(signal, SIG_DFL);
    (void)!freopen("/dev/null", "w", stderr);
    alarm(kLongestSeconds);
    const std::string broken = Simulate(world).broken;
    (void)!write(ends[1], broken.data(), broken.size());
    _exit(0);
  }
  close(ends[1]);
  std::string broken;
  char buffer[4096];
  for (ssize_t size; (size = read(ends[0], buffer, sizeof(buffer))) > 0;) {
    broken.append(buffer, static_cast<size_t>(size));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return absl::StrCat("signal ", WTERMSIG(status));
  return broken;
}

World Shrink(World world) { return Shrinker(std::move(world)).Run(); }

}  // namespace diffusiond
