#include "model/http/request_target.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// -1: none.
int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

absl::StatusOr<std::string> Decoded(absl::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      decoded += ' ';
      continue;
    }
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = high >= 0 ? HexDigit(text[i + 2]) : -1;
    if (low < 0) return absl::InvalidArgumentError("a '%' without two hexadecimal digits");
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

}  // namespace

absl::StatusOr<std::string> PercentDecoded(absl::string_view text) {
  return Decoded(text, /*plus_is_space=*/false);
}

absl::StatusOr<HttpFields> ParseUrlEncoded(absl::string_view text) {
  HttpFields fields;
  for (const absl::string_view part : absl::StrSplit(text, '&', absl::SkipEmpty())) {
    const size_t equals = std::min(part.find('='), part.size());
    ASSIGN_OR_RETURN(std::string name, Decoded(part.substr(0, equals), true));
    ASSIGN_OR_RETURN(std::string value,
                     Decoded(part.substr(std::min(equals + 1, part.size())), true));
    fields.emplace_back(std::move(name), std::move(value));
  }
  return fields;
}

absl::StatusOr<RequestTarget> ParseRequestTarget(absl::string_view target) {
  if (target.empty() || target.front() != '/') {
    return absl::InvalidArgumentError("a target that is no path");
  }
  const size_t question = std::min(target.find('?'), target.size());
  RequestTarget parsed;
  ASSIGN_OR_RETURN(parsed.path, PercentDecoded(target.substr(0, question)));
  if (std::any_of(parsed.path.begin(), parsed.path.end(),
                  [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); })) {
    return absl::InvalidArgumentError("a path with a control character");
  }
  ASSIGN_OR_RETURN(parsed.query,
                   ParseUrlEncoded(target.substr(std::min(question + 1, target.size()))));
  return parsed;
}

}  // namespace diffusiond
