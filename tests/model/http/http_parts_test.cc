// What the server of HTTP is made of, without sockets.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/http/connection_table.h"
#include "model/http/http_exchange.h"
#include "model/http/http_routes.h"
#include "model/http/request_target.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;
using Limit = ConnectionTable::Limit;
using Written = HttpResponder::Written;

TEST(RequestTargetTest, FormsAreDecoded) {
  EXPECT_THAT(*ParseUrlEncoded("a=1&b=x+y%21&c&&=d&a=2=3"),
              ElementsAre(Pair("a", "1"), Pair("b", "x y!"), Pair("c", ""), Pair("", "d"),
                          Pair("a", "2=3")));
  EXPECT_THAT(*ParseUrlEncoded(""), IsEmpty());
  EXPECT_EQ(*PercentDecoded("a+b%2Bc%e2%82%ac"), "a+b+c\u20ac");
  for (const char* bad : {"%", "%4", "%4g", "%g4", "a=%", "%%41"}) {
    EXPECT_FALSE(ParseUrlEncoded(bad).ok()) << bad;
  }
}

TEST(RequestTargetTest, APathMayHaveNoQuery) {
  EXPECT_EQ(ParseRequestTarget("/a+b")->path, "/a+b");
  EXPECT_THAT(ParseRequestTarget("/a?")->query, IsEmpty());
  EXPECT_EQ(ParseRequestTarget("/a?b?c=d")->query.front().first, "b?c");
}

TEST(HttpMessageTest, HeadsThatWouldSayMoreAreRefused) {
  EXPECT_TRUE(CheckHead({.content_type = "image/png", .headers = {{"X-A", "b\tc\xe9"}}}).ok());
  for (const HttpHead& bad :
       {HttpHead{.status = 100}, HttpHead{.status = 600},
        HttpHead{.content_type = "a\r\nSet-Cookie: b"}, HttpHead{.headers = {{"A", "b\r\nC: d"}}},
        HttpHead{.headers = {{"A", "b\nc"}}}, HttpHead{.headers = {{"A", std::string("b\0c", 3)}}},
        HttpHead{.headers = {{"A: b\r\nC", "d"}}}, HttpHead{.headers = {{"", "a"}}},
        HttpHead{.headers = {{"content-LENGTH", "3"}}},
        HttpHead{.headers = {{"Transfer-Encoding", "chunked"}}},
        HttpHead{.headers = {{"Connection", "close"}}}}) {
    EXPECT_FALSE(CheckHead(bad).ok());
  }
}

TEST(HttpRoutesTest, ThePathOfItsOwnComesFirst) {
  HttpRoutes routes;
  for (const auto& [method, path] : std::vector<std::pair<const char*, const char*>>{
           {"GET", "/v1/*"}, {"GET", "/v1/models/*"}, {"GET", "/v1/models/a"}, {"POST", "/v1/x"}}) {
    routes.Add({.method = method, .path = path, .handle = {}});
  }
  const auto found = [&](const char* method, const char* path) {
    const HttpRoutes::Found found = routes.Find(method, path);
    return found.route == nullptr ? (found.path_is_known ? found.allow : "nothing")
                                  : found.route->path;
  };
  EXPECT_EQ(found("GET", "/v1/models/a"), "/v1/models/a");
  EXPECT_EQ(found("HEAD", "/v1/models/b"), "/v1/models/*");
  EXPECT_EQ(found("GET", "/v1/b"), "/v1/*");
  EXPECT_EQ(found("GET", "/v1/"), "nothing");
  EXPECT_EQ(found("GET", "/v1"), "nothing");
  EXPECT_EQ(found("GET", "/v1/x"), "POST");
  EXPECT_EQ(found("PUT", "/v1/b"), "GET, HEAD");
}

class HttpExchangeTest : public ::testing::Test {
 protected:
  std::shared_ptr<HttpExchange> Make(HttpExchange::Options options = {}) {
    if (options.max_unsent_bytes == 0) options.max_unsent_bytes = 10;
    return std::make_shared<HttpExchange>(options, [this] { ++wakes_; });
  }
  static std::string Taken(HttpExchange& exchange) {
    return absl::StrJoin(exchange.Take(/*keep_alive=*/true).bytes, "");
  }

  int wakes_ = 0;
};

TEST_F(HttpExchangeTest, AnAnswerIsTakenWhole) {
  const auto exchange = Make();
  EXPECT_THAT(exchange->Take(true).bytes, IsEmpty());
  exchange->Answer({.head = {.status = 201, .content_type = "a/b"}, .body = "body"});
  exchange->Answer(PlainAnswer(404, "too late"));
  EXPECT_EQ(wakes_, 1);
  const HttpExchange::Output output = exchange->Take(false);
  EXPECT_TRUE(output.last && output.close);
  EXPECT_EQ(output.status, 201);
  EXPECT_THAT(output.bytes.front(),
              StartsWith("HTTP/1.1 201 Created\r\nContent-Type: a/b\r\nDate: "));
  EXPECT_THAT(output.bytes.front(),
              EndsWith(" GMT\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"));
  EXPECT_EQ(output.bytes.back(), "body");
}

TEST_F(HttpExchangeTest, AStreamHoldsNoMoreThanItMay) {
  const auto exchange = Make();
  std::vector<std::string> told;
  exchange->OnTaken([&] { told.push_back("taken"); });
  EXPECT_EQ(exchange->Write("before it begins"), Written::kGone);
  exchange->Begin({});
  EXPECT_THAT(Taken(*exchange), HasSubstr("Transfer-Encoding: chunked\r\n"));
  exchange->Sent();
  EXPECT_THAT(told, IsEmpty());
  EXPECT_EQ(exchange->Write("a piece of any size when nothing waits"), Written::kTaken);
  EXPECT_EQ(exchange->Write("b"), Written::kFull);
  EXPECT_THAT(Taken(*exchange), StartsWith("26\r\na piece"));
  EXPECT_EQ(exchange->Write("b"), Written::kFull);  // Not sent yet.
  exchange->Sent();
  EXPECT_EQ(told.size(), 1);
  EXPECT_EQ(exchange->unsent(), 0);
  EXPECT_EQ(exchange->Write("12345"), Written::kTaken);
  EXPECT_EQ(exchange->Write("67890"), Written::kTaken);
  EXPECT_EQ(exchange->Write("1"), Written::kFull);
  EXPECT_EQ(exchange->Write(""), Written::kTaken);  // Not the end.
  exchange->End();
  EXPECT_EQ(Taken(*exchange), "5\r\n12345\r\n5\r\n67890\r\n0\r\n\r\n");
  EXPECT_EQ(exchange->Write("after the end"), Written::kGone);
}

TEST_F(HttpExchangeTest, ItsMakerIsToldOnceThatTheClientIsGone) {
  const auto exchange = Make();
  int gone = 0;
  exchange->OnGone([&] { ++gone; });
  exchange->Begin({});
  exchange->Cut();
  exchange->Cut();
  EXPECT_EQ(gone, 1);
  EXPECT_EQ(exchange->Write("x"), Written::kGone);
  exchange->OnGone([&] { ++gone; });  // At once.
  EXPECT_EQ(gone, 2);
  const int wakes = wakes_;
  exchange->End();
  EXPECT_EQ(wakes_, wakes);
}

TEST_F(HttpExchangeTest, WhoIsDoneIsToldNothing) {
  const auto exchange = Make();
  int gone = 0;
  exchange->OnGone([&] { ++gone; });
  exchange->Answer(PlainAnswer(200, "x"));
  exchange->Cut();
  EXPECT_EQ(gone, 0);
}

TEST_F(HttpExchangeTest, WithoutAnAnswerThereIsOneAndAStreamIsCutOff) {
  auto exchange = Make();
  HttpResponder{exchange};
  EXPECT_EQ(exchange->Take(true).status, 500);
  exchange = Make();
  {
    HttpResponder responder(exchange);
    responder.Begin({});
    responder.Write("half");
  }
  const HttpExchange::Output output = exchange->Take(true);
  EXPECT_TRUE(output.last && output.close);
  EXPECT_THAT(absl::StrJoin(output.bytes, ""), EndsWith("4\r\nhalf\r\n"));
}

TEST_F(HttpExchangeTest, WhatMayNotBeSentBecomesAFault) {
  for (const bool stream : {false, true}) {
    const auto exchange = Make();
    HttpHead head = {.headers = {{"X", "a\r\nSet-Cookie: b"}}};
    stream ? exchange->Begin(head) : exchange->Answer({.head = head, .body = "secret"});
    const std::string taken = Taken(*exchange);
    EXPECT_THAT(taken, StartsWith("HTTP/1.1 500 "));
    EXPECT_THAT(taken, Not(HasSubstr("Cookie")));
    EXPECT_THAT(taken, Not(HasSubstr("secret")));
  }
}

TEST_F(HttpExchangeTest, SomeAnswersHaveNoBody) {
  auto exchange = Make({.is_head = true});
  exchange->Answer(PlainAnswer(200, "12345"));
  EXPECT_THAT(Taken(*exchange), EndsWith("Content-Length: 6\r\n\r\n"));
  exchange = Make({.is_head = true});
  exchange->Begin({});
  EXPECT_EQ(exchange->Write("x"), Written::kGone);
  EXPECT_TRUE(exchange->Take(true).last);
  exchange = Make();
  exchange->Answer({.head = {.status = 204}, .body = "x"});
  EXPECT_THAT(Taken(*exchange), EndsWith(" GMT\r\n\r\n"));
}

TEST_F(HttpExchangeTest, AStreamOfHttp10EndsWithItsConnection) {
  const auto exchange = Make({.is_http_1_0 = true});
  exchange->Begin({});
  exchange->Write("abc");
  exchange->End();
  const HttpExchange::Output output = exchange->Take(true);
  EXPECT_TRUE(output.last && output.close);
  EXPECT_THAT(absl::StrJoin(output.bytes, ""), EndsWith("Connection: close\r\n\r\nabc"));
}

class Member : public TabledConnection {
 public:
  void Evict() override {}
  void Drain() override {}
  void Cut() override {}
};

TEST(ConnectionTableTest, TheOneLongestWithoutARequestMakesRoom) {
  ConnectionTable table(3, 3);
  std::vector<std::shared_ptr<Member>> members;
  std::vector<ConnectionTable::Id> ids;
  for (int i = 0; i < 3; ++i) {
    ids.push_back(table.Admit("a").id);
    members.push_back(std::make_shared<Member>());
    EXPECT_TRUE(table.Attach(ids.back(), members.back()));
  }
  EXPECT_TRUE(table.Begin(ids[0]));
  EXPECT_TRUE(table.Begin(ids[1]));
  table.Finish(ids[1]);
  EXPECT_EQ(table.Admit("b").evicted, members[2]);
  EXPECT_FALSE(table.Begin(ids[2]));
  EXPECT_EQ(table.Admit("b").evicted, members[1]);
  table.Finish(ids[0]);
  // Those that came meanwhile and asked for nothing have waited longer.
  EXPECT_EQ(table.Admit("b").evicted, nullptr);
  EXPECT_EQ(table.Admit("b").evicted, nullptr);
  EXPECT_TRUE(table.Begin(ids[0]));
}

TEST(ConnectionTableTest, WithoutOneItRefuses) {
  ConnectionTable table(2, 2);
  for (int i = 0; i < 2; ++i) table.Begin(table.Admit("a").id);
  EXPECT_EQ(table.Admit("b").refused_by, Limit::kConnections);
  EXPECT_EQ(table.EvictOne(), nullptr);
}

TEST(ConnectionTableTest, AnAddressAtItsLimitMakesRoomAmongItsOwn) {
  ConnectionTable table(10, 2);
  const auto member = std::make_shared<Member>();
  table.Attach(table.Admit("other").id, std::make_shared<Member>());
  const ConnectionTable::Id first = table.Admit("a").id;
  table.Attach(first, member);
  table.Begin(table.Admit("a").id);
  EXPECT_EQ(table.Admit("a").evicted, member);
  const ConnectionTable::Admission fourth = table.Admit("a");  // Instead of the third.
  EXPECT_TRUE(table.Begin(fourth.id));
  EXPECT_EQ(table.Admit("a").refused_by, Limit::kConnectionsOfAddress);
  table.Remove(fourth.id);
  EXPECT_EQ(table.Admit("a").refused_by, Limit::kNone);
}

}  // namespace
}  // namespace diffusiond
