#include "server/tracing/trace_context.h"

#include <algorithm>
#include <cstddef>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace diffusiond {
namespace {

constexpr size_t kTraceIdAt = 3;
constexpr size_t kParentIdAt = 36;
constexpr size_t kFlagsAt = 53;
constexpr size_t kLength = 55;  // Of version 00; later ones may be longer.

bool IsHex(absl::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

bool IsId(absl::string_view text) {
  return IsHex(text) && text.find_first_not_of('0') != absl::string_view::npos;
}

constexpr size_t kMaxMembers = 32;
constexpr size_t kMaxKeyBytes = 256;
constexpr size_t kMaxValueBytes = 256;

// Of the second edition, which takes all that the first does and keys that begin with a digit.
bool IsKey(absl::string_view key) {
  const auto begins = [](char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c); };
  const auto goes_on = [&](char c) {
    return begins(c) || c == '_' || c == '-' || c == '*' || c == '/' || c == '@';
  };
  return !key.empty() && key.size() <= kMaxKeyBytes && begins(key[0]) &&
         std::all_of(key.begin(), key.end(), goes_on);
}

// Without the white space around a member, which a value cannot end with.
bool IsValue(absl::string_view value) {
  const auto is_of_value = [](char c) { return c >= ' ' && c <= '~' && c != ',' && c != '='; };
  return !value.empty() && value.size() <= kMaxValueBytes &&
         std::all_of(value.begin(), value.end(), is_of_value);
}

absl::string_view WithoutBlanks(absl::string_view text) {
  constexpr char kBlanks[] = " \t";
  const size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

bool IsOdd(char digit) { return (digit <= '9' ? digit - '0' : digit - 'a' + 10) % 2 == 1; }

}  // namespace

std::optional<Traceparent> ParseTraceparent(absl::string_view header) {
  if (header.size() < kLength) return std::nullopt;
  const absl::string_view version = header.substr(0, 2);
  if (!IsHex(version) || version == "ff") return std::nullopt;
  if (header.size() > kLength && (version == "00" || header[kLength] != '-')) return std::nullopt;
  const absl::string_view flags = header.substr(kFlagsAt, 2);
  Traceparent parsed{.trace_id = std::string(header.substr(kTraceIdAt, 32)),
                     .parent_id = std::string(header.substr(kParentIdAt, 16))};
  const bool well_formed = header[2] == '-' && header[kParentIdAt - 1] == '-' &&
                           header[kFlagsAt - 1] == '-' && IsId(parsed.trace_id) &&
                           IsId(parsed.parent_id) && IsHex(flags);
  if (!well_formed) return std::nullopt;
  parsed.sampled = IsOdd(flags[1]);
  return parsed;
}

bool IsTracestate(absl::string_view header) {
  if (header.size() > kMaxTracestateBytes) return false;
  std::set<absl::string_view> keys;
  for (const absl::string_view member : absl::StrSplit(header, ',')) {
    const absl::string_view entry = WithoutBlanks(member);
    if (entry.empty()) continue;
    const size_t equals = std::min(entry.find('='), entry.size() - 1);
    const absl::string_view key = entry.substr(0, equals);
    const bool well_formed = IsKey(key) && IsValue(entry.substr(equals + 1));
    if (!well_formed || !keys.insert(key).second) return false;
  }
  return !keys.empty() && keys.size() <= kMaxMembers;
}

std::string TraceIdOf(uint64_t high, uint64_t low) {
  if (high == 0 && low == 0) low = 1;  // All zeros is no id.
  return absl::StrFormat("%016x%016x", high, low);
}

std::string SpanIdOf(uint64_t id) { return absl::StrFormat("%016x", id == 0 ? 1 : id); }

}  // namespace diffusiond
