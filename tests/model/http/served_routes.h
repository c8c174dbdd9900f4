// A server of HTTP as its tests want it: handlers that wait for the test, and what was counted.
#ifndef DIFFUSIOND_TESTS_MODEL_HTTP_SERVED_ROUTES_H_
#define DIFFUSIOND_TESTS_MODEL_HTTP_SERVED_ROUTES_H_

#include <deque>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "model/http/http_server.h"

namespace diffusiond {

// Hands requests to the test, which answers them.
class PuppetHandler {
 public:
  struct Call {
    HttpRequest request = {};
    std::shared_ptr<HttpResponder> responder = nullptr;
  };

  HttpHandler handler() {
    return [this](HttpRequest request, std::shared_ptr<HttpResponder> responder) {
      absl::MutexLock lock(&mutex_);
      calls_.push_back({std::move(request), std::move(responder)});
    };
  }
  // Waits for it.
  Call Next() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](std::deque<Call>* calls) { return !calls->empty(); }, &calls_));
    Call call = std::move(calls_.front());
    calls_.pop_front();
    return call;
  }

 private:
  absl::Mutex mutex_;
  std::deque<Call> calls_ ABSL_GUARDED_BY(mutex_);
};

class CountingObserver : public HttpObserver {
 public:
  void OnConnection() override { Count("connection"); }
  void OnConnectionEnded(HttpEnd end) override {
    Count("end");
    Count(absl::StrCat("end ", static_cast<int>(end)));
  }
  void OnConnectionRefused(HttpRefusal refusal) override {
    Count(absl::StrCat("refusal ", static_cast<int>(refusal)));
  }
  void OnRequestRefused(int status) override { Count(absl::StrCat("refused ", status)); }
  void OnAnswer(absl::string_view method, int status) override {
    Count(absl::StrCat(method, " ", status));
  }

  int Times(const std::string& what) {
    absl::MutexLock lock(&mutex_);
    return counts_[what];
  }
  void Await(HttpEnd end, int times = 1) {
    Await(absl::StrCat("end ", static_cast<int>(end)), times);
  }
  void Await(const std::string& what, int times = 1) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&] { return counts_[what] >= times; };
    mutex_.Await(absl::Condition(&enough));
  }

 private:
  void Count(const std::string& what) {
    absl::MutexLock lock(&mutex_);
    ++counts_[what];
  }

  absl::Mutex mutex_;
  std::map<std::string, int> counts_;
};

class ServedRoutes : public ::testing::Test {
 protected:
  static constexpr char kGet[] = "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";
  static constexpr char kAsk[] = "GET /puppet HTTP/1.1\r\nHost: h\r\n\r\n";

  ServedRoutes() { options_.limits.max_connections_per_address = 2000; }

  void Start() {
    options_.listen = "127.0.0.1:0";
    options_.observer = observer_;
    HttpRoutes routes;
    Add(routes, "GET", "/hello", [](HttpRequest, const std::shared_ptr<HttpResponder>& responder) {
      responder->Answer(PlainAnswer(200, "hello"));
    });
    Add(routes, "POST", "/echo",
        [](const HttpRequest& request, const std::shared_ptr<HttpResponder>& responder) {
          responder->Answer(PlainAnswer(200, absl::StrCat("<", request.body, ">")));
        });
    Add(routes, "GET", "/throws",
        [](HttpRequest, std::shared_ptr<HttpResponder>) { throw std::runtime_error("thrown"); });
    Add(routes, "GET", "/puppet", puppet_.handler());
    routes.Add({.method = "POST",
                .path = "/secret",
                .max_body_bytes = 100,
                .refuse = [](const HttpRequest&) { return PlainAnswer(401, "who are you"); },
                .handle = puppet_.handler()});
    auto server = HttpServer::Start(options_, std::move(routes));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  static void Add(HttpRoutes& routes, const char* method, const char* path, HttpHandler handler) {
    routes.Add(
        {.method = method, .path = path, .max_body_bytes = 1 << 20, .handle = std::move(handler)});
  }
  int port() const { return server_->port(); }

  HttpServer::Options options_;
  std::shared_ptr<CountingObserver> observer_ = std::make_shared<CountingObserver>();
  PuppetHandler puppet_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_MODEL_HTTP_SERVED_ROUTES_H_
