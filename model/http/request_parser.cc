#include "model/http/request_parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model/http/request_target.h"

namespace diffusiond {
namespace {

namespace http = boost::beast::http;
using BeastString = boost::beast::string_view;
using BeastError = boost::beast::error_code;

constexpr char kHeadEnd[] = "\r\n\r\n";
constexpr size_t kHeadEndSize = sizeof(kHeadEnd) - 1;
constexpr size_t kLastChunkSize = sizeof("0\r\n\r\n") - 1;
// A body's string grows to its told length at once only up to here: the rest has to come first.
constexpr uint64_t kMaxReserved = 1 << 20;

// What no head has; what begins with something else than text, as TLS does, has it at once.
bool IsNoText(char c) {
  return c != '\t' && c != '\r' && c != '\n' && absl::ascii_iscntrl(static_cast<unsigned char>(c));
}

}  // namespace

// Tells RequestParser's fields what Beast reads.
class RequestParser::Grammar : public http::basic_parser<true> {
 public:
  Grammar() {
    header_limit(std::numeric_limits<uint32_t>::max());
    body_limit(std::numeric_limits<uint64_t>::max());
  }

  HttpRequest request;
  std::string target;
  int version = 11;
  bool head_done = false;
  int hosts = 0;
  int transfer_encodings = 0;
  uint64_t max_body_bytes = 0;
  bool too_large = false;

 private:
  void on_request_impl(http::verb, BeastString method, BeastString wanted, int said,
                       BeastError&) override {
    request.method.assign(method.data(), method.size());
    target.assign(wanted.data(), wanted.size());
    version = said;
  }
  void on_response_impl(int, BeastString, int, BeastError&) override {}
  void on_field_impl(http::field field, BeastString name, BeastString value, BeastError&) override {
    if (head_done) return;  // A trailer.
    if (field == http::field::host) ++hosts;
    if (field == http::field::transfer_encoding) ++transfer_encodings;
    request.headers.emplace_back(std::string(name.data(), name.size()),
                                 std::string(value.data(), value.size()));
  }
  void on_header_impl(BeastError&) override { head_done = true; }
  void on_body_init_impl(const boost::optional<uint64_t>& length, BeastError&) override {
    if (length) request.body.reserve(std::min(*length, kMaxReserved));
  }
  size_t on_body_impl(BeastString bytes, BeastError&) override {
    request.body.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_chunk_header_impl(uint64_t size, BeastString, BeastError& fault) override {
    // What there is is within the limit.
    too_large = size > max_body_bytes - request.body.size();
    if (too_large) fault = http::error::body_limit;
  }
  size_t on_chunk_body_impl(uint64_t, BeastString bytes, BeastError&) override {
    request.body.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_finish_impl(BeastError&) override {}
};

RequestParser::RequestParser(size_t max_header_bytes)
    : max_header_bytes_(max_header_bytes), grammar_(std::make_unique<Grammar>()) {}

RequestParser::~RequestParser() = default;

RequestParser::Progress RequestParser::Bad(int status, std::string text) {
  error_ = {.status = status, .text = std::move(text)};
  return Progress::kBad;
}

RequestParser::Progress RequestParser::Parse(std::string& bytes) {
  return grammar_->head_done ? ParseBody(bytes) : ParseHead(bytes);
}

RequestParser::Progress RequestParser::ParseHead(std::string& bytes) {
  const size_t end = bytes.find(kHeadEnd, searched_ - std::min(searched_, kHeadEndSize - 1));
  const size_t text_end = std::min(end, bytes.size());
  const size_t seen = std::min(searched_, text_end);
  const absl::string_view fresh = absl::string_view(bytes).substr(seen, text_end - seen);
  if (std::any_of(fresh.begin(), fresh.end(), IsNoText)) {
    return Bad(400, "no HTTP");
  }
  if (end == bytes.npos ? bytes.size() >= max_header_bytes_
                        : end + kHeadEndSize > max_header_bytes_) {
    return Bad(431, absl::StrCat("line and headers of more than ", max_header_bytes_, " bytes"));
  }
  if (end == bytes.npos) {
    searched_ = bytes.size();
    return Progress::kNeedsMore;
  }
  BeastError fault;
  const size_t taken =
      grammar_->put(boost::asio::const_buffer(bytes.data(), end + kHeadEndSize), fault);
  if (fault == http::error::bad_version) return Bad(505, "not HTTP/1.1");
  if (fault) return Bad(400, fault.message());
  bytes.erase(0, taken);
  return CheckHead();
}

RequestParser::Progress RequestParser::CheckHead() {
  HttpRequest& request = grammar_->request;
  if (grammar_->transfer_encodings > 0) {
    const std::string& encoding = *FindHeader(request.headers, "transfer-encoding");
    if (is_http_1_0()) return Bad(400, "a Transfer-Encoding in HTTP/1.0");
    if (grammar_->transfer_encodings > 1 || !absl::EqualsIgnoreCase(encoding, "chunked")) {
      return Bad(501, "a Transfer-Encoding other than chunked");
    }
  }
  if (grammar_->hosts > 1 || (grammar_->hosts == 0 && !is_http_1_0())) {
    return Bad(400, "not one Host");
  }
  absl::StatusOr<RequestTarget> target = ParseRequestTarget(grammar_->target);
  if (!target.ok()) return Bad(400, std::string(target.status().message()));
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  const std::string* const expects = FindHeader(request.headers, "expect");
  if (expects != nullptr && !absl::EqualsIgnoreCase(*expects, "100-continue")) {
    return Bad(417, "an Expect other than 100-continue");
  }
  return Progress::kHead;
}

RequestParser::Progress RequestParser::Continue(std::string& bytes, uint64_t max_body_bytes) {
  grammar_->max_body_bytes = max_body_bytes;
  if (grammar_->content_length().value_or(0) > max_body_bytes) grammar_->too_large = true;
  return ParseBody(bytes);
}

RequestParser::Progress RequestParser::ParseBody(std::string& bytes) {
  size_t taken = 0;
  BeastError fault;
  // Of chunks this much always comes, and Beast 1.74 fails its own assertion on a part of it.
  const size_t least = grammar_->chunked() ? kLastChunkSize : 1;
  while (!grammar_->too_large && !grammar_->is_done() && taken + least <= bytes.size() && !fault) {
    taken +=
        grammar_->put(boost::asio::const_buffer(bytes.data() + taken, bytes.size() - taken), fault);
  }
  bytes.erase(0, taken);
  if (grammar_->too_large) {
    return Bad(413, absl::StrCat("a body of more than ", grammar_->max_body_bytes, " bytes"));
  }
  if (fault && fault != http::error::need_more) return Bad(400, fault.message());
  if (grammar_->is_done()) return Progress::kWhole;
  if (bytes.size() > max_header_bytes_) {
    return Bad(431,
               absl::StrCat("a line between chunks of more than ", max_header_bytes_, " bytes"));
  }
  return Progress::kNeedsMore;
}

bool RequestParser::has_body() const { return !grammar_->is_done(); }

bool RequestParser::expects_continue() const {
  return !is_http_1_0() && has_body() && FindHeader(grammar_->request.headers, "expect") != nullptr;
}

bool RequestParser::is_http_1_0() const { return grammar_->version < 11; }

bool RequestParser::keep_alive() const { return !is_http_1_0() && grammar_->keep_alive(); }

HttpRequest& RequestParser::request() { return grammar_->request; }

const RequestParser::Error& RequestParser::error() const { return error_; }

}  // namespace diffusiond
