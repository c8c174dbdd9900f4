#include "model/http/request_parser.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using Progress = RequestParser::Progress;

constexpr size_t kMaxHeader = 1024;
constexpr uint64_t kMaxBody = 100;

struct Parsed {
  Progress progress = Progress::kNeedsMore;
  HttpRequest request = {};
  int status = 0;
  std::string rest = {};
};

// In steps of so many bytes, as they might arrive.
Parsed ParseInSteps(const std::string& bytes, size_t step, uint64_t max_body = kMaxBody) {
  RequestParser parser(kMaxHeader);
  Parsed parsed;
  for (size_t at = 0; at < bytes.size() && parsed.progress == Progress::kNeedsMore; at += step) {
    parsed.rest += bytes.substr(at, step);
    parsed.progress = parser.Parse(parsed.rest);
    if (parsed.progress == Progress::kHead) {
      parsed.progress = parser.Continue(parsed.rest, max_body);
    }
    EXPECT_LE(parsed.rest.size(), kMaxHeader + step);
  }
  parsed.status = parsed.progress == Progress::kBad ? parser.error().status : 0;
  parsed.request = parser.request();
  return parsed;
}

Parsed ParseAtOnce(const std::string& bytes) { return ParseInSteps(bytes, bytes.size()); }

TEST(RequestParserTest, HeadAndBodyAreRead) {
  const std::string bytes =
      "POST /a%20b?x=1&y=%26+z HTTP/1.1\r\nHost: h:1\r\nX-Odd:  v \r\ncontent-length: "
      "5\r\n\r\nhello";
  for (size_t step = 1; step <= bytes.size(); ++step) {
    const Parsed parsed = ParseInSteps(bytes, step);
    ASSERT_EQ(parsed.progress, Progress::kWhole) << step;
    EXPECT_EQ(parsed.request.method, "POST");
    EXPECT_EQ(parsed.request.path, "/a b");
    EXPECT_THAT(parsed.request.query, ElementsAre(Pair("x", "1"), Pair("y", "& z")));
    EXPECT_EQ(*FindHeader(parsed.request.headers, "x-oDD"), "v");
    EXPECT_EQ(parsed.request.body, "hello");
    EXPECT_THAT(parsed.rest, IsEmpty());
  }
}

TEST(RequestParserTest, ChunksAreOneBody) {
  const std::string bytes =
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nHost: evil\r\nX-Trailer: t\r\n\r\n";
  for (size_t step = 1; step <= bytes.size(); ++step) {
    const Parsed parsed = ParseInSteps(bytes, step);
    ASSERT_EQ(parsed.progress, Progress::kWhole) << step;
    EXPECT_EQ(parsed.request.body, "abc0123456789");
    EXPECT_EQ(*FindHeader(parsed.request.headers, "host"), "h");
    EXPECT_EQ(FindHeader(parsed.request.headers, "x-trailer"), nullptr);
  }
}

TEST(RequestParserTest, NoChunkIsAnEmptyBody) {
  for (const size_t step : {1, 2, 3, 4, 100}) {
    const Parsed parsed = ParseInSteps(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", step);
    EXPECT_EQ(parsed.progress, Progress::kWhole) << step;
    EXPECT_THAT(parsed.rest, IsEmpty());
  }
}

TEST(RequestParserTest, WhatFollowsIsLeft) {
  EXPECT_EQ(ParseAtOnce("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /2").rest, "GET /2");
  EXPECT_EQ(ParseAtOnce("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nabGET").rest,
            "GET");
  // A body that is no text is none of a head's business.
  EXPECT_EQ(
      ParseInSteps("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n\x01\x02", 1).progress,
      Progress::kWhole);
}

TEST(RequestParserTest, WhatTwoReadersMayReadDifferentlyIsRefused) {
  struct Case {
    std::string name;
    std::string headers;
    int status;
    std::string line = "POST / HTTP/1.1";
  };
  const std::string host = "Host: h\r\n";
  for (const Case& bad : {
           Case{"length and chunks", host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                400},
           Case{"chunks and length", host + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
                400},
           Case{"two lengths", host + "Content-Length: 3\r\nContent-Length: 4\r\n", 400},
           Case{"a list of lengths", host + "Content-Length: 3, 4\r\n", 400},
           Case{"a signed length", host + "Content-Length: +3\r\n", 400},
           Case{"a length that is none", host + "Content-Length: 0x3\r\n", 400},
           Case{"a length past all bounds", host + "Content-Length: 99999999999999999999\r\n", 400},
           Case{"another encoding", host + "Transfer-Encoding: xchunked\r\n", 501},
           Case{"another encoding and a length",
                host + "Transfer-Encoding: x\r\nContent-Length: 3\r\n", 501},
           Case{"chunks not last", host + "Transfer-Encoding: chunked, identity\r\n", 501},
           Case{"encoded chunks", host + "Transfer-Encoding: gzip, chunked\r\n", 501},
           Case{"an encoding twice",
                host + "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", 501},
           Case{"chunks of HTTP/1.0", host + "Transfer-Encoding: chunked\r\n", 400,
                "POST / HTTP/1.0"},
           Case{"a space before the colon", host + "Content-Length : 3\r\n", 400},
           Case{"a line without a colon", host + "Content-Length\r\n", 400},
           Case{"no host", "", 400},
           Case{"two hosts", host + host, 400},
           Case{"a bare line feed", host + "A: b\nContent-Length: 3\r\n", 400},
           Case{"a zero byte", host + std::string("A: b\0c\r\n", 8), 400},
           Case{"a proxy's target", host, 400, "GET http://h/ HTTP/1.1"},
           Case{"a star", host, 400, "OPTIONS * HTTP/1.1"},
           Case{"a half escape", host, 400, "GET /%4 HTTP/1.1"},
           Case{"an escaped zero", host, 400, "GET /%00 HTTP/1.1"},
           Case{"a version to come", host, 505, "GET / HTTP/2.0"},
           Case{"no version", host, 400, "GET /"},
           Case{"no method", host, 400, " / HTTP/1.1"},
           Case{"another expectation", host + "Expect: the-unexpected\r\n", 417},
       }) {
    const Parsed parsed = ParseAtOnce(absl::StrCat(bad.line, "\r\n", bad.headers, "\r\nabc"));
    EXPECT_EQ(parsed.progress, Progress::kBad) << bad.name;
    EXPECT_EQ(parsed.status, bad.status) << bad.name;
  }
}

TEST(RequestParserTest, ChunksThatAreNoneAreRefused) {
  for (const std::string chunks :
       {"x\r\nabc\r\n", "-1\r\n", "3\r\nabcd\r\n", "3\nabc\n", "\r\n", "3 \x01\r\nabc\r\n",
        "FFFFFFFFFFFFFFFFF\r\n", "0\r\nno trailer\r\n\r\n"}) {
    const Parsed parsed = ParseAtOnce(absl::StrCat(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", chunks, "0\r\n\r\n"));
    EXPECT_EQ(parsed.progress, Progress::kBad) << chunks;
    EXPECT_THAT(parsed.status, ::testing::AnyOf(400, 413)) << chunks;
  }
}

TEST(RequestParserTest, BytesThatAreNoTextAreRefusedAtOnce) {
  EXPECT_EQ(ParseAtOnce("\x16\x03\x01").status, 400);  // TLS's first.
  EXPECT_EQ(ParseAtOnce(std::string(1, '\0')).status, 400);
}

// Beast alone counts anew after each line that comes by itself.
TEST(RequestParserTest, AHeadLineByLineIsBoundedAsAWhole) {
  std::string bytes = "GET / HTTP/1.1\r\nHost: h\r\n";
  while (bytes.size() < 4 * kMaxHeader) bytes += "A: b\r\n";
  for (const size_t step : {size_t{1}, size_t{6}, bytes.size()}) {
    EXPECT_EQ(ParseInSteps(bytes, step).status, 431) << step;
    EXPECT_EQ(ParseInSteps(bytes + "\r\n", step).status, 431) << step;
  }
}

TEST(RequestParserTest, BodiesAreBounded) {
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\n";
  EXPECT_EQ(ParseAtOnce(head + "Content-Length: 101\r\n\r\n").status, 413);  // Before it comes.
  EXPECT_EQ(ParseAtOnce(head + "Content-Length: 100\r\n\r\n").status, 0);
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(ParseAtOnce(chunked + "65\r\nx").status, 413);
  EXPECT_EQ(ParseAtOnce(chunked + "64\r\n").status, 0);
  std::string grows = chunked;
  for (int i = 0; i < 11; ++i) grows += "A\r\n0123456789\r\n";
  EXPECT_EQ(ParseInSteps(grows, 1).status, 413);
  EXPECT_LE(ParseInSteps(grows, 1).request.body.size(), kMaxBody);
}

TEST(RequestParserTest, LinesBetweenChunksAreBounded) {
  const std::string chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& line :
       {"3;" + std::string(2 * kMaxHeader, 'x'), "0\r\nA: " + std::string(2 * kMaxHeader, 'x')}) {
    EXPECT_EQ(ParseInSteps(chunked + line, 7).status, 431);
  }
}

}  // namespace
}  // namespace diffusiond
