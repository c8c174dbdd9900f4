#include "server/tracing/trace_context.h"

#include <cstddef>

#include "absl/strings/str_format.h"

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

std::string TraceIdOf(uint64_t high, uint64_t low) {
  if (high == 0 && low == 0) low = 1;  // All zeros is no id.
  return absl::StrFormat("%016x%016x", high, low);
}

std::string SpanIdOf(uint64_t id) { return absl::StrFormat("%016x", id == 0 ? 1 : id); }

}  // namespace diffusiond
