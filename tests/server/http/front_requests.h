// A front before a server with fakes, and requests to it.
#ifndef DIFFUSIOND_TESTS_SERVER_HTTP_FRONT_REQUESTS_H_
#define DIFFUSIOND_TESTS_SERVER_HTTP_FRONT_REQUESTS_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/engine/work_state.h"
#include "server/http/http_front.h"
#include "tests/server/rpc/test_server.h"
#include "tests/testing/http_peer.h"

namespace diffusiond {

// `work`: what /v1/state tells; may be empty.
inline std::unique_ptr<HttpFront> StartBefore(TestServer& server,
                                              std::function<WorkState()> work = nullptr) {
  auto front = HttpFront::Start({.listen = "127.0.0.1:0",
                                 .ready = [&server] { return server.server().IsServing(); },
                                 .work = std::move(work)},
                                server.server().context());
  EXPECT_TRUE(front.ok()) << front.status();
  return *std::move(front);
}

// `more`: headers, each with its end of line.
inline std::string Post(const std::string& path, const std::string& body,
                        const std::string& more = "") {
  return absl::StrCat("POST ", path,
                      " HTTP/1.1\r\nHost: localhost\r\nContent-Length: ", body.size(),
                      "\r\nConnection: close\r\n", more, "\r\n", body);
}

inline std::string Get(const std::string& path, const std::string& more = "") {
  return absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", more,
                      "\r\n");
}

inline std::string Ask(const HttpFront& front, const std::string& request) {
  const HttpPeer peer(front.port());
  peer.Send(request);
  return peer.ReadToEnd();
}

inline std::string BodyOf(const std::string& answer) {
  return answer.substr(answer.find("\r\n\r\n") + 4);
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SERVER_HTTP_FRONT_REQUESTS_H_
