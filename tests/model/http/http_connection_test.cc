// A connection whose client takes nothing from the first byte on: its window is full.
#include "model/http/http_connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "model/http/event_loop.h"
#include "tests/model/http/served_routes.h"

namespace diffusiond {
namespace {

constexpr char kHead[] =
    "POST /puppet HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";

class FullWindow {
 public:
  explicit FullWindow(HttpLimits limits) {
    limits.slow_reader_time = absl::Milliseconds(20);
    HttpRoutes routes;
    routes.Add({.method = "POST",
                .path = "/puppet",
                .max_body_bytes = 1,
                .refuse =
                    [this](const HttpRequest&) {
                      head_is_read_.Notify();
                      return std::optional<HttpAnswer>();
                    },
                .handle = puppet_.handler()});
    service_.reset(new HttpService{.limits = limits,
                                   .routes = std::move(routes),
                                   .refusal = PlainAnswer,
                                   .observer = observer_,
                                   .table = ConnectionTable(1, 1)});
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    client_ = ends[0];
    Fill(ends[1]);
    const ConnectionTable::Admission admission = service_->table.Admit("here");
    const auto connection = std::make_shared<HttpConnection>(
        service_, loop_.Watch(ends[1]), PlainTransport(ends[1]), "here", admission.id);
    EXPECT_TRUE(service_->table.Attach(admission.id, connection));
    connection->Start();
  }
  ~FullWindow() {
    service_->table.AwaitEmpty(absl::InfiniteDuration());
    close(client_);
  }

  void Send(absl::string_view bytes) const {
    EXPECT_EQ(send(client_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void AwaitHead() const { head_is_read_.WaitForNotification(); }
  PuppetHandler& puppet() { return puppet_; }
  CountingObserver& observer() { return *observer_; }

 private:
  static void Fill(int descriptor) {
    const std::string bytes(4096, 'x');
    for (const size_t size : {bytes.size(), size_t{1}}) {
      while (send(descriptor, bytes.data(), size, MSG_NOSIGNAL) > 0) {
      }
    }
  }

  absl::Notification head_is_read_;
  PuppetHandler puppet_;
  const std::shared_ptr<CountingObserver> observer_ = std::make_shared<CountingObserver>();
  std::shared_ptr<HttpService> service_;
  int client_ = -1;
  EventLoop loop_{1};
};

TEST(HttpConnectionTest, WhoTakesNoContinueIsClosedThoughItSendsItsBody) {
  FullWindow window({});
  window.Send(kHead);
  window.AwaitHead();
  window.Send("x");
  window.puppet().Next().responder->Answer(PlainAnswer(200, "made, and never sent"));
  window.observer().Await(HttpEnd::kSlowReader);
}

TEST(HttpConnectionTest, WhoTakesNoContinueIsClosedWhenItsBodyDoesNotCome) {
  FullWindow window({.request_time = absl::Milliseconds(20)});
  window.Send(kHead);
  window.AwaitHead();
  window.observer().Await(HttpEnd::kSlowReader);
}

}  // namespace
}  // namespace diffusiond
