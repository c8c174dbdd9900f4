#include "model/http/http_server.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/http/served_routes.h"
#include "tests/testing/http_peer.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class HttpServerTest : public ServedRoutes {
 protected:
  // All that comes for these bytes, after which nothing is sent.
  std::string Answers(const std::string& bytes) const {
    const HttpPeer peer(port());
    peer.SendWhatIsTaken(bytes);
    return peer.ReadToEnd();
  }
};

TEST_F(HttpServerTest, AHandlerGetsWhatWasAsked) {
  Start();
  const HttpPeer peer(port());
  peer.Send("GET /puppet?a=%41 HTTP/1.1\r\nHost: localhost:1\r\n\r\n");
  const PuppetHandler::Call call = puppet_.Next();
  EXPECT_EQ(call.request.method, "GET");
  EXPECT_EQ(call.request.query.front().second, "A");
  EXPECT_EQ(*FindHeader(call.request.headers, "HOST"), "localhost:1");
  EXPECT_THAT(call.request.peer, StartsWith("ipv4:127.0.0.1:"));
  EXPECT_THAT(call.request.client_certificate, IsEmpty());
  call.responder->Answer(PlainAnswer(200, "later"));
  EXPECT_THAT(peer.ReadUntil("later\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInTheirOrder) {
  Start();
  const HttpPeer peer(port());
  std::string all;
  for (int i = 0; i < 500; ++i) {
    absl::StrAppend(&all, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", 100 + i);
  }
  peer.Send(all);
  for (int i = 0; i < 500; ++i) {
    EXPECT_THAT(peer.ReadUntil(">\n"), EndsWith(absl::StrCat("\r\n\r\n<", 100 + i, ">\n")));
  }
}

TEST_F(HttpServerTest, WhatIsPipelinedBehindALongAnswerWaits) {
  Start();
  const HttpPeer peer(port());
  // More than the server reads ahead.
  peer.Send(absl::StrCat(kAsk, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n",
                         std::string(100000, 'x')));
  puppet_.Next().responder->Answer(PlainAnswer(200, "first"));
  peer.ReadUntil("first\n");
  EXPECT_THAT(peer.ReadUntil("x>\n"), HasSubstr("\r\n\r\n<xxx"));
}

TEST_F(HttpServerTest, BodiesComeInChunksAndAfterContinue) {
  Start();
  const HttpPeer peer(port());
  peer.Send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: "
      "chunked\r\n\r\n");
  EXPECT_EQ(peer.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  peer.Send("2\r\nab\r\n");
  peer.Send("1\r\nc\r\n0\r\n\r\n");
  EXPECT_THAT(peer.ReadUntil(">\n"), EndsWith("<abc>\n"));
}

TEST_F(HttpServerTest, ARefusalComesBeforeTheBody) {
  Start();
  const std::string length = "Host: h\r\nExpect: 100-continue\r\nContent-Length: ";
  EXPECT_THAT(Answers(absl::StrCat("POST /secret HTTP/1.1\r\n", length, "5\r\n\r\n")),
              StartsWith("HTTP/1.1 401 Unauthorized\r\n"));
  EXPECT_THAT(Answers(absl::StrCat("POST /echo HTTP/1.1\r\n", length, "1048577\r\n\r\n")),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(Answers(absl::StrCat("POST /nothing HTTP/1.1\r\n", length, "5\r\n\r\n")),
              StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Answers(absl::StrCat("POST /hello HTTP/1.1\r\n", length, "5\r\n\r\n")),
              AllOf(HasSubstr("\r\nAllow: GET, HEAD\r\n"),
                    HasSubstr("\r\n\r\n\"POST\" is not taken here: GET, HEAD\n")));
}

TEST_F(HttpServerTest, WhatNoHandlerSeesIsTold) {
  options_.limits.request_time = absl::Milliseconds(20);
  Start();
  const struct {
    const char* request;
    int status;
  } kRefused[] = {
      {"GET /hello HTTP/1.1\r\n\r\n", 400},
      {"POST /secret HTTP/1.1\r\nHost: h\r\n\r\n", 401},
      {"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n", 404},
      {"POST /hello HTTP/1.1\r\nHost: h\r\n\r\n", 405},
      {"GET /hel", 408},
      {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n", 413},
      {"POST /echo HTTP/1.1\r\nHost: h\r\nExpect: more\r\nContent-Length: 1\r\n\r\n", 417},
  };
  for (const auto& [request, status] : kRefused) {
    const HttpPeer peer(port());
    peer.Send(request);
    EXPECT_THAT(peer.ReadUntil("\r\n\r\n"), StartsWith(absl::StrCat("HTTP/1.1 ", status)));
    EXPECT_EQ(observer_->Times(absl::StrCat("refused ", status)), 1) << request;
  }
  // A handler's own fault is none of these.
  EXPECT_THAT(HttpAnswer(port(), "GET", "/throws"), StartsWith("HTTP/1.1 500 "));
  EXPECT_EQ(observer_->Times("refused 500"), 0);
}

// An early close would cost the client the answer: it is still sending.
TEST_F(HttpServerTest, WhoSendsOnIsRefusedAndReadsIt) {
  Start();
  EXPECT_THAT(
      Answers(absl::StrCat("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n",
                           std::string(9000000, 'x'))),
      StartsWith("HTTP/1.1 413 "));
}

// Of a closed socket the second send would fail: a reset answers the first.
TEST_F(HttpServerTest, WhatComesBehindTheLastAnswerIsTaken) {
  Start();
  const HttpPeer peer(port());
  peer.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n");
  EXPECT_THAT(peer.ReadToEnd(), StartsWith("HTTP/1.1 413 "));
  for (int i = 0; i < 10; ++i) peer.Send("more");
}

TEST_F(HttpServerTest, WhatIsPipelinedIsNotAllReadAhead) {
  Start();
  const HttpPeer peer(port());
  peer.Send(kAsk);
  const PuppetHandler::Call call = puppet_.Next();
  const timeval patience = {.tv_sec = 0, .tv_usec = 100'000};
  setsockopt(peer.descriptor(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  const std::string much(64 << 20, 'x');
  EXPECT_LT(send(peer.descriptor(), much.data(), much.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(much.size()));
  call.responder->Answer(PlainAnswer(200, "first"));
  EXPECT_THAT(peer.ReadToEnd(), HasSubstr("\r\n\r\nfirst\n"));
}

TEST_F(HttpServerTest, GarbageIsRefusedAndTheConnectionClosed) {
  Start();
  for (const std::string& bytes : {std::string("\x16\x03\x01\x02", 4), std::string("\r\n\r\n"),
                                   std::string("GET /hello HTTP/1.1\r\n\r\n"),
                                   std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")}) {
    EXPECT_THAT(Answers(bytes), StartsWith("HTTP/1.1 ")) << bytes;
  }
  // The second of them is no request of its own: its first is refused.
  const std::string smuggled = Answers(absl::StrCat(
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
      "0\r\n\r\n", kGet));
  EXPECT_THAT(smuggled, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(smuggled, Not(HasSubstr("hello")));
}

TEST_F(HttpServerTest, ARequestHasItsTimeToCome) {
  options_.limits.request_time = absl::Milliseconds(20);
  Start();
  for (const char* half :
       {"GET /hel", "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"}) {
    EXPECT_THAT(Answers(half), StartsWith("HTTP/1.1 408 ")) << half;
  }
}

TEST_F(HttpServerTest, AnIdleConnectionIsClosed) {
  options_.limits.idle_time = absl::Milliseconds(20);
  Start();
  EXPECT_THAT(Answers(""), IsEmpty());
  EXPECT_THAT(Answers(kGet), EndsWith("hello\n"));
  observer_->Await(HttpEnd::kIdle, 2);
}

TEST_F(HttpServerTest, AHandlerThatThrowsOrForgetsIsAFaultOfTheServer) {
  Start();
  EXPECT_THAT(HttpAnswer(port(), "GET", "/throws"), StartsWith("HTTP/1.1 500 "));
  const HttpPeer peer(port());
  peer.Send(kAsk);
  puppet_.Next();
  EXPECT_THAT(peer.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 500 "));
}

TEST_F(HttpServerTest, HeadIsGetWithoutItsBody) {
  Start();
  EXPECT_THAT(HttpAnswer(port(), "HEAD", "/hello"), EndsWith("\r\n\r\n"));
}

TEST_F(HttpServerTest, Http10GetsAnAnswerAndAnEnd) {
  Start();
  EXPECT_THAT(Answers("GET /hello HTTP/1.0\r\n\r\n"), EndsWith("\r\n\r\nhello\n"));
}

TEST_F(HttpServerTest, WhoHasSentAllGetsAnAnswerThatIsMade) {
  Start();
  for (int i = 0; i < 100; ++i) {
    const HttpPeer peer(port());
    peer.SendLast(kGet);
    EXPECT_THAT(peer.ReadToEnd(), EndsWith("hello\n"));
  }
}

TEST_F(HttpServerTest, AThousandIdleConnectionsTakeNoThread) {
  rlimit descriptors = {};
  getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = std::min<rlim_t>(descriptors.rlim_max, 4096);
  setrlimit(RLIMIT_NOFILE, &descriptors);
  Start();
  std::vector<std::unique_ptr<HttpPeer>> idle;
  for (int i = 0; i < 1000; ++i) {
    idle.push_back(std::make_unique<HttpPeer>(port()));
    if (i % 2 == 0) idle.back()->Send("GET /hello HTT");
  }
  EXPECT_THAT(HttpAnswer(port(), "GET", "/hello"), EndsWith("hello\n"));
  idle.front()->Send("P/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(idle.front()->ReadUntil("hello\n"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, ConnectionsWithRequestsInWorkStay) {
  options_.limits.max_connections = 2;
  Start();
  const HttpPeer first(port());
  first.Send(kAsk);
  const PuppetHandler::Call call = puppet_.Next();
  const HttpPeer second(port());
  second.Send(kAsk);
  const PuppetHandler::Call other = puppet_.Next();
  const HttpPeer third(port());
  EXPECT_THAT(third.ReadToEnd(), StartsWith("HTTP/1.1 503 "));
  observer_->Await("refusal 0");
  call.responder->Answer(PlainAnswer(200, "first"));
  first.ReadUntil("first\n");
  EXPECT_THAT(HttpAnswer(port(), "GET", "/hello"), EndsWith("hello\n"));
  EXPECT_THAT(first.ReadToEnd(), IsEmpty());  // It made room.
  other.responder->Answer(PlainAnswer(200, "second"));
  EXPECT_THAT(second.ReadUntil("second\n"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, WhoMayNotConnectIsResetAndMakesNobodyLeave) {
  std::atomic<bool> refuses = false;
  options_.limits.max_connections = 1;
  options_.refuse_connection = [&](const std::string& address) {
    EXPECT_EQ(address, "ipv4:127.0.0.1");
    return refuses ? std::optional(HttpRefusal::kRateOfAddress) : std::nullopt;
  };
  Start();
  const HttpPeer first(port());
  first.Send(kGet);
  first.ReadUntil("hello\n");
  refuses = true;
  ASSERT_THAT(Answers("GET /hello HTTP/1.0\r\n\r\n"), IsEmpty());
  const HttpPeer second(port());
  char byte = 0;
  EXPECT_EQ(read(second.descriptor(), &byte, 1), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(
      observer_->Times(absl::StrCat("refusal ", static_cast<int>(HttpRefusal::kRateOfAddress))), 2);
  EXPECT_EQ(observer_->Times("connection"), 1);
  first.Send(kGet);
  EXPECT_THAT(first.ReadUntil("hello\n"), EndsWith("hello\n"));
}

TEST_F(HttpServerTest, BodiesOfAllTogetherAreBounded) {
  options_.limits.max_bodies_bytes = 1000;
  Start();
  const std::string half = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n";
  {
    const HttpPeer first(port());
    first.Send(half + std::string(999, 'x'));
    // One of them is too much, whichever is read first.
    const HttpPeer second(port());
    second.Send(half + std::string(999, 'x'));
    observer_->Await("POST 503");
  }
  observer_->Await("end", 2);
  EXPECT_THAT(Answers(half + std::string(1000, 'x') + "GET /end HTTP/1.0\r\n\r\n"),
              HasSubstr("<xxx"));  // They count no more.
}

TEST_F(HttpServerTest, ADrainLetsRequestsEnd) {
  options_.limits.linger_time = absl::Milliseconds(10);
  Start();
  const HttpPeer idle(port());
  idle.Send(kGet);
  idle.ReadUntil("hello\n");
  const HttpPeer busy(port());
  busy.Send(kAsk);
  PuppetHandler::Call call = puppet_.Next();
  const HttpPeer streamed(port());
  streamed.Send(kAsk);
  PuppetHandler::Call stream = puppet_.Next();
  stream.responder->Begin({});
  streamed.ReadUntil("\r\n\r\n");
  std::thread drain([&] { server_->Drain(absl::InfiniteDuration()); });
  EXPECT_THAT(idle.ReadToEnd(), IsEmpty());  // It has begun.
  call.responder->Answer(PlainAnswer(200, "bye"));
  EXPECT_THAT(busy.ReadToEnd(), HasSubstr("Connection: close\r\n\r\nbye\n"));
  stream.responder->Write("last");
  stream.responder->End();
  EXPECT_EQ(streamed.ReadToEnd(), "4\r\nlast\r\n0\r\n\r\n");
  drain.join();
}

TEST_F(HttpServerTest, ADrainEndsAtItsLimit) {
  Start();
  const HttpPeer peer(port());
  peer.Send(kAsk);
  const PuppetHandler::Call call = puppet_.Next();
  absl::Notification gone;
  call.responder->OnGone([&] { gone.Notify(); });
  server_->Drain(absl::Milliseconds(1));
  EXPECT_TRUE(gone.HasBeenNotified());
  EXPECT_THAT(peer.ReadToEnd(), IsEmpty());
  server_.reset();
  // Its handler may not know yet.
  call.responder->Begin({});
  EXPECT_EQ(call.responder->Write("x"), HttpResponder::Written::kGone);
  call.responder->Answer(PlainAnswer(200, "x"));
}

}  // namespace
}  // namespace diffusiond
