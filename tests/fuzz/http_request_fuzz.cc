// Any bytes as what a client of HTTP sends: the same requests however they are cut into pieces,
// none larger than it may be, none that two readers could read differently.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "model/http/request_parser.h"

namespace diffusiond {
namespace {

using Progress = RequestParser::Progress;

constexpr size_t kMaxHeaderBytes = 512;
constexpr uint64_t kMaxBodyBytes = 1024;

void Check(const HttpRequest& request) {
  const auto times = [&](absl::string_view name) {
    return std::count_if(request.headers.begin(), request.headers.end(), [&](const auto& header) {
      return absl::EqualsIgnoreCase(header.first, name);
    });
  };
  const std::string* const encoding = FindHeader(request.headers, "transfer-encoding");
  if (request.path.empty() || request.path.front() != '/') std::abort();
  if (request.body.size() > kMaxBodyBytes || times("host") > 1) std::abort();
  if (encoding != nullptr && (times("transfer-encoding") > 1 || times("content-length") > 0 ||
                              !absl::EqualsIgnoreCase(*encoding, "chunked"))) {
    std::abort();
  }
}

// All that are whole.
std::vector<HttpRequest> Requests(const std::string& bytes, size_t step) {
  std::vector<HttpRequest> requests;
  auto parser = std::make_unique<RequestParser>(kMaxHeaderBytes);
  std::string in;
  for (size_t at = 0; at < bytes.size(); at += step) {
    in += bytes.substr(at, step);
    while (!in.empty()) {
      Progress progress = parser->Parse(in);
      if (progress == Progress::kHead) progress = parser->Continue(in, kMaxBodyBytes);
      if (progress == Progress::kBad) return requests;
      if (progress == Progress::kNeedsMore) break;
      Check(parser->request());
      requests.push_back(parser->request());
      parser = std::make_unique<RequestParser>(kMaxHeaderBytes);
    }
    if (in.size() > kMaxHeaderBytes) std::abort();
  }
  return requests;
}

}  // namespace
}  // namespace diffusiond

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace diffusiond;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const std::vector<HttpRequest> slowly = Requests(bytes, 1);
  const std::vector<HttpRequest> at_once = Requests(bytes, std::max<size_t>(size, 1));
  // A line between chunks is longer than it may be only while it comes.
  for (size_t i = 0; i < slowly.size(); ++i) {
    if (i >= at_once.size() || slowly[i].method != at_once[i].method ||
        slowly[i].path != at_once[i].path || slowly[i].query != at_once[i].query ||
        slowly[i].headers != at_once[i].headers || slowly[i].body != at_once[i].body) {
      std::abort();
    }
  }
  return 0;
}
