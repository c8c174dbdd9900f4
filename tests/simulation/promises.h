// What the engine promises, and the accounts by which each promise is checked.
#ifndef DIFFUSIOND_TESTS_SIMULATION_PROMISES_H_
#define DIFFUSIOND_TESTS_SIMULATION_PROMISES_H_

#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/engine/generation.h"
#include "server/engine/scheduling_policy.h"
#include "server/engine/step_executor.h"
#include "tests/simulation/fibers.h"
#include "tests/simulation/order.h"
#include "tests/simulation/shares.h"
#include "tests/simulation/states.h"
#include "tests/simulation/unwatched.h"
#include "tests/simulation/world.h"

namespace diffusiond {

// Registers that say of what they are.
struct SimulatedRegisters : TrajectoryRegisters {
  explicit SimulatedRegisters(int* alive) : alive(alive) { Count(1); }
  ~SimulatedRegisters() override { Count(-1); }
  void Count(int change) const {
    const Unwatched unwatched;
    *alive += change;
  }

  int* const alive;
  uint64_t seed = 0;
  int image = 0;
  int row = 0;  // That comes next.
  uint64_t value = 0;
};

// Told of everything that goes into the engine and comes out of it. The first promise that is
// broken ends the simulation.
class Promises {
 public:
  // `log`: where everything is written as it happens; null: nowhere.
  Promises(const World& world, Fibers* fibers, std::FILE* log);

  // Empty: all was kept.
  const std::string& broken() const { return broken_; }
  // Ends the simulation unless `kept`.
  void Check(bool kept, const char* promise, const std::string& what);
  template <typename... Words>
  void Log(const Words&... words) {
    if (log_ != nullptr) Write(absl::StrCat(words...));
  }
  void Sometimes(State state) { reached_.insert(state.name()); }
  const std::set<std::string_view>& reached() const { return reached_; }

  // Holds on to what listeners may still speak to.
  void Keep(std::shared_ptr<void> thing) { kept_.push_back(std::move(thing)); }

  // What is asked.
  Order& Ask(const World::Request& request, std::string model, int version);
  void Admitted(Order& order, GenerationId id);
  void Refused(Order& order, const absl::Status& status);
  void Cancel(Order& order) { order.cancelling = true; }  // Begins.
  void Cancelled(Order& order);
  // The server is told to end: nobody comes in any more, and until then nothing is ended for it.
  void EndAllAt(absl::Time until);

  // What workers do. A device is idle from Up to Down while it is not at a step. Lost: it failed,
  // hangs or has left; down otherwise is what ends in order.
  void Up(int device);
  void Down(int device);
  void Lost(int device);
  struct Step {
    int device = 0;
    int64_t number = 0;
    int passes = 0;  // Of the network.
    absl::Time began;
  };
  Step StepBegins(int device, const std::string& model, int capacity,
                  absl::Span<const StepTask> tasks);
  enum class StepEnd { kAdvanced, kFailed, kNoMemory };
  void StepEnds(const Step& step, absl::Span<const StepTask> tasks, StepEnd end);
  // The engine tells how many images of a model may have begun (of the model with the fewest).
  void ResidentLimit(int limit);
  bool AnyWorker() const;

  // Of a model another version is served from now on.
  void Swapped(const std::string& before, const std::string& now);

  // What listeners hear; the frames' calls have a beginning and an end.
  void Progress(Order& order, int image, int steps_done, int steps_total);
  void PreviewBegins(Order& order, int image, int steps_done, PreviewContent kind,
                     const Frame& frame);
  void ImageBegins(Order& order, int image, const Frame& frame);
  void FrameEnds(Order& order, int image);
  void PreviewsDropped(Order& order, int count);
  void Finished(Order& order, const absl::Status& status);

  // What is true whenever nobody can go on before time does.
  void Quiet();
  // What is true when all is over; the promise that is broken, or "".
  std::string Over(int registers_alive, int executors_alive) const;

  const std::deque<Order>& orders() const { return orders_; }
  bool Troubled(const Order& order) const {
    return order.Troubled(fibers_->Now(), world_.watchdog);
  }
  bool ending() const { return ending_since_ != absl::InfiniteFuture(); }
  // Whether it certainly has not ended.
  bool Lives(const Order& order) const {
    return order.admitted && !order.told.has_value() && !Troubled(order) && !order.AllDrawn();
  }
  bool all_told() const { return open_ == 0; }
  const Shares& shares() const { return shares_; }
  int64_t steps() const { return steps_; }
  int ends() const { return ends_; }

 private:
  struct Device {
    bool up = false;
    int64_t step = 0;  // That its worker is at; 0: none. One that was given up may be at another.
    absl::Time began = absl::InfiniteFuture();  // That step, or the last.

    bool is_idle() const { return up && step == 0; }
  };
  // Of images that an account cannot tell exactly.
  struct Bounds {
    int least = 0, most = 0;

    int Of(bool at_least) const { return at_least ? least : most; }
    Bounds& operator+=(const Bounds& other) {
      least += other.least;
      most += other.most;
      return *this;
    }
  };
  // What holders of the queue's places had when one asked: all, class HIGH, and its own address
  // and tenant.
  struct Found {
    Bounds all, high, address, tenant;
  };

  Order& Of(const StepTask& task) { return orders_[task.spec->seed]; }
  std::string Name(const Order& order, int image = -1) const;
  void CheckTask(const StepTask& task, const std::string& model);
  Found FoundBy(const Order& asking) const;
  // Whether the shares of what there was let it be admitted, or refused.
  bool MayBe(bool admitted, const Order& asking) const;
  double TimesAlone(const Order& order) const;
  std::string Describe(const Order& asking) const;
  void CheckPlaces(const Order& newest);
  void CheckRefusedForRoom(const Order& refused, bool whole_queue);
  void CheckRefusedForDeadline(const Order& refused, const std::string& what);
  // Images of a model that have begun and are neither drawn nor ended: of all, or of one address.
  Bounds Residents(const std::string& model, bool settled,
                   std::optional<int> address = std::nullopt) const;
  void CheckResidents(const std::string& model);
  void CheckBegunOfAddresses(const std::string& model, int capacity,
                             absl::Span<const StepTask> tasks);
  void CheckResidentLimit();
  bool MayBegin(const Order& order) const;
  void CheckWaitingPreviews();
  void NoteLoss();
  void CheckEnd(const Order& order, const absl::Status& status);
  void CheckTold(const Order& order, bool idle);
  void CheckNobodyIdles();
  bool AnyIdle() const;
  bool has_one_limit() const { return world_.models.size() == 1 && world_.changes.empty(); }
  void Trace(uint64_t a, uint64_t b, uint64_t c);
  void Write(const std::string& line);

  const World& world_;
  Fibers* const fibers_;
  std::FILE* const log_;
  const absl::Time began_;
  std::string broken_;
  std::set<std::string_view> reached_;
  std::deque<Order> orders_;
  int ends_ = 0;         // That were told.
  int open_ = 0;         // Admitted, and not told of their end.
  int frame_calls_ = 0;  // That have not returned.
  absl::Time ending_since_ = absl::InfiniteFuture();
  absl::Time all_end_ = absl::InfiniteFuture();
  int previews_waiting_ = 0;  // When time moved on last; -1: nobody knows.
  std::vector<Device> devices_;
  Shares shares_;
  const bool is_punctual_, is_steady_;
  int last_passes_ = 0, alike_steps_ = 0;  // Of the last steps that ended, and how many had them.
  int resident_limit_;                     // As the engine told last.
  int highest_limit_;                      // Since time moved on last.
  int residents_ = 0;                      // At most, when it did.
  bool no_memory_ = false;                 // A device had none since then.
  int64_t steps_ = 0;
  int64_t steps_ended_ = 0;
  absl::Time last_end_ = absl::InfinitePast();
  std::set<size_t> loads_;  // Of which steps were seen, unguided rows.
  absl::Time last_loss_ = absl::InfinitePast();
  std::vector<std::shared_ptr<void>> kept_;
};

// What a frame of these registers shows, and back.
Frame FrameOf(uint64_t value);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SIMULATION_PROMISES_H_
