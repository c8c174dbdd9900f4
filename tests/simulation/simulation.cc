#include "tests/simulation/simulation.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/simulation/client.h"
#include "tests/simulation/fibers.h"
#include "tests/simulation/machine.h"
#include "tests/simulation/promises.h"
#include "tests/simulation/unwatched.h"

namespace diffusiond {
namespace {

// Longer than all there is to do can take, one image at a time, on one device, with every fault.
absl::Duration LongestDrain(const World& world) {
  absl::Duration longest = absl::Seconds(1);
  for (const World::Request& request : world.requests) {
    const World::Model& model = world.models[static_cast<size_t>(request.model)];
    const int rows = request.count * request.steps * request.rows_a_step;
    const absl::Duration step = model.step + (model.capacity + model.micro_batch) * model.pass;
    longest += (1 + request.retries) * rows * (step + 3 * request.encode);
    longest += request.retries * absl::Minutes(1);
    const int events = 2 + request.count * (request.steps * 3 + 1);
    if (request.read != absl::InfiniteDuration()) longest += events * request.read;
  }
  // A step that a fault strikes is done again, once its device is back.
  const absl::Duration check =
      std::clamp(world.watchdog / 4, absl::Milliseconds(10), absl::Seconds(15));
  for (const World::Fault& fault : world.faults) {
    longest += std::min(fault.longer, world.watchdog) + world.longest_backoff + 2 * check;
    longest += absl::Seconds(1);
  }
  return longest;
}

// All that happens in a world, as its first thread.
class Life {
 public:
  Life(const World& world, Fibers* fibers, Promises* promises)
      : world_(world), fibers_(fibers), promises_(promises), machine_(world, fibers, promises) {}

  void Live() {
    const absl::Time began = fibers_->Now();
    machine_.Start();
    std::vector<int> clients;
    for (const World::Request& request : world_.requests) {
      clients.push_back(fibers_->Spawn("client", [this, &request] {
        RunClient(request, &machine_.engine(), fibers_, promises_,
                  [this, model = request.model] { return machine_.Serving(model); });
        const Unwatched unwatched;
        ++gone_;
        fibers_->WakeAll(&gone_);
      }));
    }
    const absl::Duration last =
        world_.requests.empty() ? absl::ZeroDuration() : world_.requests.back().at;
    AwaitClients(began + std::min(world_.drain, last + LongestDrain(world_)));
    const bool drains_early = world_.drain != absl::InfiniteDuration();
    promises_->Check(gone_ == world_.requests.size() || drains_early || !machine_.HasFuture(),
                     "all is drawn in the end",
                     absl::StrCat(world_.requests.size() - gone_, " clients still wait"));
    if (drains_early) Drain();
    if (machine_.HungForGood()) promises_->Sometimes("a device is not built again");
    machine_.Stop();
    for (const int client : clients) fibers_->Join(client);
    machine_.Destroy();
    NoteMetrics();
  }

  Machine& machine() { return machine_; }

 private:
  void Drain() {
    const bool hurries = world_.drain_patience != absl::InfiniteDuration();
    const bool all_ended = machine_.Drain(hurries ? world_.drain_patience : LongestDrain(world_));
    promises_->Check(all_ended || hurries || !machine_.HasFuture(), "all is drawn in the end",
                     "not after the server was told to end");
    if (!all_ended) promises_->Sometimes("the server ends before all is drawn");
  }
  void NoteMetrics() {
    const CountedMetrics& metrics = machine_.metrics();
    if (promises_->shares().long_spans() > 0)
      promises_->Sometimes("two share for ten batches and more");
    if (promises_->shares().yields() > 0)
      promises_->Sometimes("a request goes before one that came earlier");
    if (metrics.migrations > 0) promises_->Sometimes("an image goes on on another worker");
    if (metrics.preemptions > 0) promises_->Sometimes("what has begun lets other work go first");
    promises_->Check(metrics.waiting == 0 && metrics.resident == 0, "depth returns to nothing",
                     absl::StrCat(metrics.waiting, " wait, ", metrics.resident, " are resident"));
    promises_->Check(metrics.ends == promises_->ends(), "every end is counted",
                     absl::StrCat(metrics.ends, " were"));
  }
  void AwaitClients(absl::Time deadline) {
    const Unwatched unwatched;
    while (gone_ < world_.requests.size() && fibers_->Now() < deadline) {
      fibers_->Wait(&gone_, deadline);
    }
  }

  const World& world_;
  Fibers* const fibers_;
  const UnwatchedPtr<Promises> promises_;
  Machine machine_;
  size_t gone_ = 0;  // Clients.
};

std::string WhyItEnded(Fibers::End end, const Fibers& fibers, const Promises& promises) {
  switch (end) {
    case Fibers::End::kDone:
      return "";
    case Fibers::End::kStopped:
      return promises.broken();
    case Fibers::End::kStuck:
      return absl::StrCat("somebody can go on: nobody can, of", fibers.WhoWaits());
    case Fibers::End::kSpins:
      return "time goes on: it stands still";
  }
  return "";
}

}  // namespace

Outcome Simulate(const World& world, std::FILE* log) {
  // What is left of a world that was stopped must stay where it is.
  auto fibers = std::make_unique<Fibers>(
      Fibers::Options{.seed = world.seed, .preempt = world.preempt, .spurious = world.spurious});
  auto promises = std::make_unique<Promises>(world, fibers.get(), log);
  auto life = std::make_unique<Life>(world, fibers.get(), promises.get());
  fibers->OnQuiet([promises = UnwatchedPtr<Promises>(promises.get())] { promises->Quiet(); });
  const absl::Time began = fibers->Now();
  Fibers::End end = fibers->Run([&life] { life->Live(); });
  Outcome outcome;
  outcome.broken = WhyItEnded(end, *fibers, *promises);
  if (outcome.broken.empty()) {
    outcome.broken = promises->Over(life->machine().devices().registers_alive,
                                    life->machine().devices().executors_alive);
  }
  outcome.trace = fibers->trace();
  outcome.reached = promises->reached();
  outcome.steps = promises->steps();
  outcome.switches = fibers->switches();
  outcome.lasted = fibers->Now() - began;
  if (end != Fibers::End::kDone) {
    (void)life.release();
    (void)promises.release();
    (void)fibers.release();
  }
  return outcome;
}

}  // namespace diffusiond
