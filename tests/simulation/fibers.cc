#include "tests/simulation/fibers.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdlib>

#include "absl/base/config.h"
#include "absl/strings/str_cat.h"
#include "tests/simulation/unwatched.h"
#if defined(ABSL_HAVE_ADDRESS_SANITIZER)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(DIFFUSIOND_FIBERS_ARE_THREADS)
// Compiled without the thread sanitizer, which is told what it cannot see: who goes on, and that a
// thread starts and is joined. That one goes on orders nothing.
#include <sanitizer/tsan_interface.h>
#include <sys/single_threaded.h>
#endif

namespace diffusiond {
namespace {

constexpr size_t kStackBytes = 512 << 10;

Fibers* active = nullptr;

// Stacks that ended worlds left, below each a page that nobody may touch.
std::vector<char*>& SpareStacks() {
  static auto* const stacks = new std::vector<char*>();
  return *stacks;
}

char* TakeStack() {
  std::vector<char*>& spare = SpareStacks();
  if (!spare.empty()) {
    char* const stack = spare.back();
    spare.pop_back();
    return stack;
  }
  void* const memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, 4096, PROT_NONE) != 0) abort();
  return static_cast<char*>(memory);
}

void Prepare(ucontext_t& context, char* stack, void (*enter)()) {
  getcontext(&context);
  context.uc_stack.ss_sp = stack;
  context.uc_stack.ss_size = kStackBytes;
  context.uc_link = nullptr;
  makecontext(&context, enter, 0);
}

}  // namespace

struct Fibers::Fiber {
  int id = 0;
  std::string name;
  std::function<void()> body;
  ucontext_t context;
  char* stack = nullptr;
  const void* waits_for = nullptr;
  absl::Time wakes = absl::InfiniteFuture();  // In timers_, if finite.
  bool woken = false;
  bool done = false;
#if defined(ABSL_HAVE_ADDRESS_SANITIZER)
  void* fake_stack = nullptr;
  const void* bottom = nullptr;
  size_t size = 0;
#endif
#if defined(DIFFUSIOND_FIBERS_ARE_THREADS)
  void* thread = nullptr;
#endif
};

Fibers::Fibers(Options options)
    : options_(options),
      dice_(Mix(options.seed)),
      began_(absl::FromUnixSeconds(1'700'000'000)),
      now_(began_),
      outside_(std::make_unique<Fiber>()) {}

Fibers::~Fibers() {
  if (end_ != End::kDone) return;  // Somebody's frames are still on the stacks.
  for (const std::unique_ptr<Fiber>& fiber : fibers_) {
#if defined(DIFFUSIOND_FIBERS_ARE_THREADS)
    __tsan_destroy_fiber(fiber->thread);
#endif
    if (fiber->stack != nullptr) SpareStacks().push_back(fiber->stack);
  }
}

Fibers* Fibers::Active() { return active; }

Fibers::End Fibers::Run(std::function<void()> main) {
  active = this;
  end_ = End::kDone;
#if defined(DIFFUSIOND_FIBERS_ARE_THREADS)
  __libc_single_threaded = 0;  // Or reference counts are no atomics.
  outside_->thread = __tsan_get_current_fiber();
#endif
  Spawn("main", std::move(main));
  current_ = outside_.get();
  GiveWay();
#if defined(DIFFUSIOND_FIBERS_ARE_THREADS)
  for (const std::unique_ptr<Fiber>& fiber : fibers_) __tsan_acquire(fiber.get());
#endif
  active = nullptr;
  return end_;
}

int Fibers::Spawn(std::string name, std::function<void()> body) {
  const Unwatched unwatched;
  Fiber* const fiber = fibers_.emplace_back(std::make_unique<Fiber>()).get();
  fiber->id = static_cast<int>(fibers_.size());
  fiber->name = std::move(name);
  fiber->body = std::move(body);
  fiber->stack = TakeStack();
  Prepare(fiber->context, fiber->stack, &Fibers::Enter);
#if defined(ABSL_HAVE_ADDRESS_SANITIZER)
  fiber->bottom = fiber->stack;
  fiber->size = kStackBytes;
#endif
#if defined(DIFFUSIOND_FIBERS_ARE_THREADS)
  fiber->thread = __tsan_create_fiber(0);
#endif
  ++alive_;
  ready_.push_back(fiber);
  return fiber->id;
}

void Fibers::Enter() {
#if defined(ABSL_HAVE_ADDRESS_SANITIZER)
  Fiber* const outside = active->outside_.get();
  const void** bottom = outside->bottom == nullptr ? &outside->bottom : nullptr;
  __sanitizer_finish_switch_fiber(nullptr, bottom, bottom == nullptr ? nullptr : &outside->size);
#endif
  Fiber& self = *active->current_;
  self.body();
  self.body = nullptr;
#if defined(DIFFUSIOND_FIBERS_ARE_THREADS)
  __tsan_release(&self);
#endif
  self.done = true;
  --active->alive_;
  active->WakeAll(&self);
  active->GiveWay();
  abort();  // Nobody resumes it.
}

void Fibers::Resume(Fiber* next) {
  Fiber* const last = current_;
  ++switches_;
  if (next == last) return;
  current_ = next;
  Trace(static_cast<uint64_t>(next->id));
#if defined(ABSL_HAVE_ADDRESS_SANITIZER)
  __sanitizer_start_switch_fiber(last->done ? nullptr : &last->fake_stack, next->bottom,
                                 next->size);
#endif
#if defined(DIFFUSIOND_FIBERS_ARE_THREADS)
  __tsan_switch_to_fiber(next->thread, __tsan_switch_to_fiber_no_sync);
#endif
  swapcontext(&last->context, &next->context);
#if defined(ABSL_HAVE_ADDRESS_SANITIZER)
  __sanitizer_finish_switch_fiber(last->fake_stack, nullptr, nullptr);
#endif
}

Fibers::Fiber* Fibers::Next() {
  const Unwatched unwatched;
  while (ready_.empty()) {
    if (alive_ == 0 || end_ != End::kDone) return outside_.get();
    if (on_quiet_) on_quiet_();
    if (!ready_.empty()) break;
    if (timers_.empty() || timers_.begin()->first - began_ > options_.longest) {
      end_ = End::kStuck;
      return outside_.get();
    }
    now_ = std::max(now_, timers_.begin()->first);
    while (!timers_.empty() && timers_.begin()->first <= now_) {
      Ready(fibers_[static_cast<size_t>(timers_.begin()->second - 1)].get());
    }
  }
  if (switches_ >= options_.max_switches) {
    end_ = End::kSpins;
    return outside_.get();
  }
  const size_t chosen = ready_.size() == 1 ? 0 : dice_.Next() % ready_.size();
  Fiber* const next = ready_[chosen];
  ready_[chosen] = ready_.back();
  ready_.pop_back();
  return next;
}

void Fibers::GiveWay() { Resume(Next()); }

void Fibers::Ready(Fiber* fiber) {
  if (fiber->wakes != absl::InfiniteFuture()) timers_.erase({fiber->wakes, fiber->id});
  fiber->wakes = absl::InfiniteFuture();
  if (std::exchange(fiber->waits_for, nullptr) != nullptr) {
    waiting_.erase(std::find(waiting_.begin(), waiting_.end(), fiber));
  }
  ready_.push_back(fiber);
}

void Fibers::Name(std::string name) {
  const Unwatched unwatched;
  current_->name = std::move(name);
}

const std::string& Fibers::name() const { return current_->name; }

void Fibers::SleepUntil(absl::Time time) {
  static const char sleep = 0;
  Wait(&sleep, time);
}

void Fibers::Join(int fiber) {
  Fiber* const other = fibers_[static_cast<size_t>(fiber - 1)].get();
  while (!other->done) Wait(other);
#if defined(DIFFUSIOND_FIBERS_ARE_THREADS)
  __tsan_acquire(other);
#endif
}

void Fibers::Stop() {
  end_ = End::kStopped;
  if (current_ == outside_.get()) abort();
  Resume(outside_.get());
  abort();
}

bool Fibers::Wait(const void* thing, absl::Time deadline) {
  const Unwatched unwatched;
  Fiber& self = *current_;
  if (deadline <= now_) {
    ready_.push_back(&self);
    GiveWay();
    return false;
  }
  self.woken = false;
  self.waits_for = thing;
  waiting_.push_back(&self);
  self.wakes = deadline;
  if (deadline != absl::InfiniteFuture()) timers_.emplace(deadline, self.id);
  GiveWay();
  return self.woken;
}

void Fibers::WakeAll(const void* thing) {
  const Unwatched unwatched;
  for (size_t i = 0; i < waiting_.size();) {
    Fiber* const fiber = waiting_[i];
    if (fiber->waits_for != thing) {
      ++i;
      continue;
    }
    fiber->woken = true;
    Ready(fiber);  // Takes it out of the list.
  }
}

void Fibers::WakeOne(const void* thing) {
  const Unwatched unwatched;
  std::vector<Fiber*> found;
  for (Fiber* const fiber : waiting_) {
    if (fiber->waits_for == thing) found.push_back(fiber);
  }
  if (found.empty()) return;
  Fiber* const fiber = found[dice_.Next() % found.size()];
  fiber->woken = true;
  Ready(fiber);
}

bool Fibers::IsWaitedFor(const void* thing) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [thing](const Fiber* fiber) { return fiber->waits_for == thing; });
}

void Fibers::MayYield() {
  const Unwatched unwatched;
  if (ready_.empty() || options_.preempt == 0 || !dice_.Chance(options_.preempt)) return;
  ready_.push_back(current_);
  GiveWay();
}

std::string Fibers::WhoWaits() const {
  std::string names;
  for (const Fiber* const fiber : waiting_) absl::StrAppend(&names, " [", fiber->name, "]");
  return names;
}

}  // namespace diffusiond
