// Answers piece by piece, readers that do not read, and clients that go.
#include <sys/socket.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/http/http_server.h"
#include "tests/model/http/served_routes.h"
#include "tests/testing/http_peer.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Written = HttpResponder::Written;

constexpr size_t kPieceBytes = 256 << 10;
// What a kernel holds for a connection whose reader does not read, at the very most.
constexpr size_t kMostInKernel = 64 << 20;

class HttpStreamTest : public ServedRoutes {
 protected:
  PuppetHandler::Call Begin(const HttpPeer& peer) {
    peer.Send(kAsk);
    PuppetHandler::Call call = puppet_.Next();
    call.responder->Begin({.content_type = "text/event-stream"});
    return call;
  }
  // Until no more is taken: how much was.
  static size_t Fill(HttpResponder& responder) {
    size_t taken = 0;
    while (taken < kMostInKernel) {
      if (responder.Write(std::string(kPieceBytes, 'x')) != Written::kTaken) break;
      taken += kPieceBytes;
    }
    return taken;
  }
};

TEST_F(HttpStreamTest, PiecesComeAsTheyAreWritten) {
  Start();
  const HttpPeer peer(port());
  const PuppetHandler::Call call = Begin(peer);
  EXPECT_THAT(peer.ReadUntil("\r\n\r\n"), HasSubstr("Content-Type: text/event-stream\r\n"));
  for (const char* piece : {"a", "b", "c"}) {
    EXPECT_EQ(call.responder->Write(piece), Written::kTaken);
    EXPECT_EQ(peer.ReadUntil("\r\n"), "1\r\n");
    EXPECT_EQ(peer.ReadUntil("\r\n"), std::string(piece) + "\r\n");
  }
  call.responder->End();
  EXPECT_EQ(peer.ReadUntil("0\r\n\r\n"), "0\r\n\r\n");
  // The connection goes on.
  peer.Send(kGet);
  EXPECT_THAT(peer.ReadUntil("hello\n"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpStreamTest, TheMakerIsToldWhenItsReaderReadsAgain) {
  Start();
  const HttpPeer peer(port());
  const PuppetHandler::Call call = Begin(peer);
  const size_t taken = Fill(*call.responder);
  ASSERT_LT(taken, kMostInKernel);
  EXPECT_LE(call.responder->unsent(), options_.limits.max_unsent_bytes);
  EXPECT_EQ(call.responder->Write(std::string(kPieceBytes, 'x')), Written::kFull);
  absl::Notification again;
  call.responder->OnTaken([&] {
    if (!again.HasBeenNotified()) again.Notify();
  });
  std::thread reader([&] { peer.ReadUntil("end"); });
  again.WaitForNotification();
  EXPECT_EQ(call.responder->Write("end"), Written::kTaken);
  reader.join();
  call.responder->End();
}

TEST_F(HttpStreamTest, WhoTakesNothingIsClosed) {
  options_.limits.slow_reader_time = absl::Milliseconds(20);
  Start();
  const HttpPeer peer(port());
  const PuppetHandler::Call call = Begin(peer);
  absl::Notification gone;
  call.responder->OnGone([&] { gone.Notify(); });
  EXPECT_LT(Fill(*call.responder), kMostInKernel);
  gone.WaitForNotification();
  EXPECT_EQ(call.responder->Write("x"), Written::kGone);
  observer_->Await(HttpEnd::kSlowReader);
}

TEST_F(HttpStreamTest, AStreamWithoutNewsIsNotSlow) {
  options_.limits.slow_reader_time = absl::Milliseconds(1);
  options_.limits.idle_time = absl::Milliseconds(1);
  options_.limits.request_time = absl::Milliseconds(1);
  Start();
  HttpPeer peer(port());
  peer.Send(kAsk);
  PuppetHandler::Call call = puppet_.Next();
  call.responder->Begin({});
  peer.ReadUntil("\r\n\r\n");
  // Meanwhile another's time passes.
  EXPECT_EQ(HttpPeer(port()).ReadToEnd(), "");
  EXPECT_EQ(HttpPeer(port()).ReadToEnd(), "");
  EXPECT_EQ(call.responder->Write("news"), Written::kTaken);
  EXPECT_EQ(peer.ReadUntil("news"), "4\r\nnews");
}

TEST_F(HttpStreamTest, AClientThatGoesIsNoticed) {
  Start();
  struct Case {
    const char* name;
    bool begun;
    std::function<void(HttpPeer&)> go;
  };
  for (const Case& kind :
       {Case{"closes", false, [](HttpPeer&) {}},
        Case{"closes in the middle", true, [](HttpPeer&) {}},
        Case{"resets", false, [](HttpPeer& peer) { peer.ResetAtEnd(); }},
        Case{"resets in the middle", true, [](HttpPeer& peer) { peer.ResetAtEnd(); }},
        Case{"sends no more", true, [](HttpPeer& peer) { peer.SendLast(""); }}}) {
    SCOPED_TRACE(kind.name);
    auto peer = std::make_unique<HttpPeer>(port());
    peer->Send(kAsk);
    const PuppetHandler::Call call = puppet_.Next();
    absl::Notification gone;
    call.responder->OnGone([&] { gone.Notify(); });
    if (kind.begun) call.responder->Begin({});
    kind.go(*peer);
    peer.reset();
    gone.WaitForNotification();
    EXPECT_EQ(call.responder->Write("x"), Written::kGone);
    call.responder->Answer(PlainAnswer(200, "x"));
  }
  EXPECT_THAT(HttpAnswer(port(), "GET", "/hello"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpStreamTest, AResetInTheMiddleOfAFullStreamIsNoticed) {
  Start();
  auto peer = std::make_unique<HttpPeer>(port());
  const PuppetHandler::Call call = Begin(*peer);
  absl::Notification gone;
  call.responder->OnGone([&] { gone.Notify(); });
  Fill(*call.responder);
  peer->ResetAtEnd();
  peer.reset();
  gone.WaitForNotification();
}

TEST_F(HttpStreamTest, AForgottenStreamIsCutOff) {
  Start();
  const HttpPeer peer(port());
  Begin(peer).responder->Write("half");
  const std::string all = peer.ReadToEnd();
  EXPECT_THAT(all, ::testing::EndsWith("4\r\nhalf\r\n"));
}

TEST_F(HttpStreamTest, ManyStreamsAreWrittenFromManyThreads) {
  Start();
  constexpr int kStreams = 16;
  static constexpr int kPieces = 200;
  std::vector<std::unique_ptr<HttpPeer>> peers;
  std::vector<std::thread> writers;
  std::vector<std::thread> readers;
  for (int i = 0; i < kStreams; ++i) {
    peers.push_back(std::make_unique<HttpPeer>(port()));
    writers.emplace_back([call = Begin(*peers.back())] {
      for (int piece = 0; piece < kPieces; ++piece) {
        EXPECT_EQ(call.responder->Write("0123456789"), Written::kTaken);
      }
      call.responder->End();
    });
    readers.emplace_back([peer = peers.back().get()] {
      const std::string all = peer->ReadUntil("\r\n0\r\n\r\n");
      size_t pieces = 0;
      for (size_t at = all.find("a\r\n0123456789\r\n"); at != all.npos;
           at = all.find("a\r\n0123456789\r\n", at + 1)) {
        ++pieces;
      }
      EXPECT_EQ(pieces, kPieces);
    });
  }
  for (std::thread& writer : writers) writer.join();
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace diffusiond
