#include "model/http/http_message.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

struct Reason {
  int status;
  absl::string_view text;
};

constexpr std::array kReasons = {
    Reason{200, "OK"},
    Reason{201, "Created"},
    Reason{202, "Accepted"},
    Reason{204, "No Content"},
    Reason{206, "Partial Content"},
    Reason{301, "Moved Permanently"},
    Reason{302, "Found"},
    Reason{303, "See Other"},
    Reason{304, "Not Modified"},
    Reason{307, "Temporary Redirect"},
    Reason{308, "Permanent Redirect"},
    Reason{400, "Bad Request"},
    Reason{401, "Unauthorized"},
    Reason{403, "Forbidden"},
    Reason{404, "Not Found"},
    Reason{405, "Method Not Allowed"},
    Reason{406, "Not Acceptable"},
    Reason{408, "Request Timeout"},
    Reason{409, "Conflict"},
    Reason{411, "Length Required"},
    Reason{413, "Content Too Large"},
    Reason{415, "Unsupported Media Type"},
    Reason{417, "Expectation Failed"},
    Reason{421, "Misdirected Request"},
    Reason{422, "Unprocessable Content"},
    Reason{429, "Too Many Requests"},
    Reason{431, "Request Header Fields Too Large"},
    Reason{499, "Client Closed Request"},
    Reason{500, "Internal Server Error"},
    Reason{501, "Not Implemented"},
    Reason{503, "Service Unavailable"},
    Reason{504, "Gateway Timeout"},
    Reason{505, "HTTP Version Not Supported"},
};

constexpr absl::string_view kOfTheServer[] = {"connection", "content-length", "date", "keep-alive",
                                              "transfer-encoding"};

// RFC 9110, 5.6.2.
bool IsToken(absl::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           absl::StrContains("!#$%&'*+-.^_`|~", c);
  });
}

// Bytes above 127 pass, as RFC 9110 has it.
bool StaysInItsLine(absl::string_view value) {
  return std::none_of(value.begin(), value.end(), [](char c) {
    return c != '\t' && absl::ascii_iscntrl(static_cast<unsigned char>(c));
  });
}

}  // namespace

const std::string* FindHeader(const HttpFields& headers, absl::string_view name) {
  const auto found = std::find_if(headers.begin(), headers.end(), [&](const auto& header) {
    return absl::EqualsIgnoreCase(header.first, name);
  });
  return found == headers.end() ? nullptr : &found->second;
}

HttpAnswer PlainAnswer(int status, absl::string_view text) {
  return {.head = {.status = status, .content_type = "text/plain; charset=utf-8"},
          .body = absl::StrCat(text, "\n")};
}

absl::string_view ReasonOf(int status) {
  const auto* const found =
      std::find_if(kReasons.begin(), kReasons.end(),
                   [status](const Reason& reason) { return reason.status == status; });
  return found == kReasons.end() ? absl::string_view() : found->text;
}

absl::Status CheckHead(const HttpHead& head) {
  if (head.status < 200 || head.status > 599) {
    return absl::InvalidArgumentError(absl::StrCat("status ", head.status, " ends no request"));
  }
  if (!StaysInItsLine(head.content_type)) {
    return absl::InvalidArgumentError("a content type of more than a line");
  }
  for (const auto& [name, value] : head.headers) {
    if (!IsToken(name)) return absl::InvalidArgumentError("a header whose name is none");
    for (const absl::string_view owned : kOfTheServer) {
      if (absl::EqualsIgnoreCase(name, owned)) {
        return absl::InvalidArgumentError(absl::StrCat("the header ", name, " is the server's"));
      }
    }
    if (!StaysInItsLine(value)) {
      return absl::InvalidArgumentError(absl::StrCat("the header ", name, " is of several lines"));
    }
  }
  return absl::OkStatus();
}

std::string WrittenHead(const HttpHead& head, absl::string_view framing) {
  std::string text = absl::StrCat("HTTP/1.1 ", head.status, " ", ReasonOf(head.status), "\r\n");
  if (!head.content_type.empty()) {
    absl::StrAppend(&text, "Content-Type: ", head.content_type, "\r\n");
  }
  for (const auto& [name, value] : head.headers) absl::StrAppend(&text, name, ": ", value, "\r\n");
  absl::StrAppend(&text, framing, "\r\n");
  return text;
}

}  // namespace diffusiond
