#include "model/http/event_loop.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace diffusiond {
namespace {

namespace asio = boost::asio;
using Strand = asio::strand<asio::io_context::executor_type>;
using Descriptor = asio::posix::basic_stream_descriptor<Strand>;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Strand>;
using Ticks = std::chrono::steady_clock::time_point;

// Further away than any deadline.
constexpr absl::Duration kNever = absl::Hours(24 * 365);

class AsioSocket : public WatchedSocket, public std::enable_shared_from_this<AsioSocket> {
 public:
  explicit AsioSocket(const Strand& strand)
      : strand_(strand), descriptor_(strand), timer_(strand) {}

  bool Assign(int descriptor) {
    boost::system::error_code fault;
    descriptor_.assign(descriptor, fault);
    return !fault;
  }

  void Post(std::function<void()> then) override { asio::post(strand_, std::move(then)); }
  void AwaitReadable(std::function<void()> then) override {
    Await(Descriptor::wait_read, std::move(then));
  }
  void AwaitWritable(std::function<void()> then) override {
    Await(Descriptor::wait_write, std::move(then));
  }

  // A later deadline leaves the timer as it is: most are put off many times before one comes.
  void SetDeadline(absl::Duration from_now) override {
    deadline_ = std::chrono::steady_clock::now() +
                absl::ToChronoNanoseconds(std::clamp(from_now, absl::ZeroDuration(), kNever));
    if (!armed_ || timer_.expiry() > *deadline_) Arm();
  }
  void ClearDeadline() override { deadline_.reset(); }
  void OnDeadline(std::function<void()> then) override { on_deadline_ = std::move(then); }

  void Close() override {
    boost::system::error_code ignored;
    descriptor_.close(ignored);
    deadline_.reset();
    timer_.cancel();
    on_deadline_ = nullptr;
  }

  int descriptor() const override { return const_cast<Descriptor&>(descriptor_).native_handle(); }

 private:
  void Await(Descriptor::wait_type what, std::function<void()> then) {
    descriptor_.async_wait(
        what, [self = shared_from_this(), then = std::move(then)](boost::system::error_code fault) {
          if (!fault && self->descriptor_.is_open()) then();
        });
  }

  void Arm() {
    armed_ = true;
    timer_.expires_at(*deadline_);  // Cancels what waits.
    timer_.async_wait([self = shared_from_this()](boost::system::error_code fault) {
      if (!fault) self->OnTimer();
    });
  }

  void OnTimer() {
    if (timer_.expiry() > std::chrono::steady_clock::now()) return;  // Armed anew since.
    armed_ = false;
    if (!deadline_) return;
    if (*deadline_ > std::chrono::steady_clock::now()) {
      Arm();
      return;
    }
    deadline_.reset();
    if (const std::function<void()> then = on_deadline_) then();
  }

  Strand strand_;
  Descriptor descriptor_;
  Timer timer_;
  bool armed_ = false;
  std::optional<Ticks> deadline_;
  std::function<void()> on_deadline_;
};

}  // namespace

struct EventLoop::Threads {
  asio::io_context context;
  asio::executor_work_guard<asio::io_context::executor_type> stays{context.get_executor()};
  std::vector<std::thread> threads;
};

EventLoop::EventLoop(int threads) : threads_(std::make_unique<Threads>()) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // Inherited.
  for (int i = 0; i < std::max(1, threads); ++i) {
    threads_->threads.emplace_back([this] { threads_->context.run(); });
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

EventLoop::~EventLoop() {
  threads_->context.stop();
  for (std::thread& thread : threads_->threads) thread.join();
}

std::shared_ptr<WatchedSocket> EventLoop::Watch(int descriptor) {
  auto socket = std::make_shared<AsioSocket>(asio::make_strand(threads_->context));
  if (socket->Assign(descriptor)) return socket;
  close(descriptor);
  return nullptr;
}

}  // namespace diffusiond
