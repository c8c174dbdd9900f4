#include "client/load/load_trace.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <random>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

namespace diffusiond {
namespace {

constexpr char kHeader[] = "at_seconds,entry,seed";
constexpr char kHeaderWithoutSeed[] = "at_seconds,entry";

std::string EntryNames(const LoadMix& mix) {
  return absl::StrJoin(mix.entries, ", ",
                       [](std::string* out, const LoadEntry& entry) { *out += entry.name; });
}

// The message has no place yet.
absl::StatusOr<PlannedRequest> ParseLine(absl::string_view line, bool with_seed, const LoadMix& mix,
                                         std::mt19937_64& bits) {
  const std::vector<absl::string_view> cells = absl::StrSplit(line, ',');
  const size_t columns = with_seed ? 3 : 2;
  if (cells.size() != columns) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", line, "' has ", cells.size(), " columns, expected ", columns));
  }
  double seconds = 0;
  if (!absl::SimpleAtod(cells[0], &seconds) || !(seconds >= 0) ||
      seconds > absl::ToDoubleSeconds(kMaxPlanTime)) {
    return absl::InvalidArgumentError(absl::StrCat("at_seconds='", cells[0], "', expected 0 .. ",
                                                   absl::ToInt64Seconds(kMaxPlanTime)));
  }
  PlannedRequest request{
      .at = absl::Nanoseconds(std::llround(seconds * 1e9)), .entry = mix.entries.size(), .seed = 0};
  for (size_t i = 0; i < mix.entries.size(); ++i) {
    if (mix.entries[i].name == cells[1]) request.entry = i;
  }
  if (request.entry == mix.entries.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("entry='", cells[1], "', expected one of the mix: ", EntryNames(mix)));
  }
  if (!with_seed || cells[2].empty()) {
    request.seed = bits();
  } else if (!absl::SimpleAtoi(cells[2], &request.seed)) {
    return absl::InvalidArgumentError(
        absl::StrCat("seed='", cells[2], "', expected a whole number of 64 bits, or nothing"));
  }
  return request;
}

}  // namespace

std::string LoadTraceOf(const LoadPlan& plan) {
  std::string text = absl::StrCat(kHeader, "\n");
  for (const PlannedRequest& request : plan.requests) {
    const int64_t nanoseconds = absl::ToInt64Nanoseconds(request.at);
    absl::StrAppendFormat(&text, "%d.%09d,%s,%d\n", nanoseconds / 1'000'000'000,
                          nanoseconds % 1'000'000'000, plan.mix.entries[request.entry].name,
                          request.seed);
  }
  return text;
}

absl::StatusOr<std::vector<PlannedRequest>> ParseLoadTrace(absl::string_view text,
                                                           const std::string& name,
                                                           const LoadMix& mix, uint64_t seed) {
  std::mt19937_64 bits(seed);
  std::vector<PlannedRequest> requests;
  bool with_seed = false;
  int64_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    absl::ConsumeSuffix(&line, "\r");
    if (number == 1) {
      with_seed = line == kHeader;
      if (with_seed || line == kHeaderWithoutSeed) continue;
      return absl::InvalidArgumentError(absl::StrCat(name, ":1: '", line.substr(0, 80),
                                                     "', expected the header ", kHeader, " or ",
                                                     kHeaderWithoutSeed));
    }
    if (line.empty()) continue;
    if (requests.size() == static_cast<size_t>(kMaxPlannedRequests)) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": more than ", kMaxPlannedRequests, " requests"));
    }
    const absl::StatusOr<PlannedRequest> request = ParseLine(line, with_seed, mix, bits);
    if (!request.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ":", number, ": ", request.status().message()));
    }
    requests.push_back(*request);
  }
  std::stable_sort(requests.begin(), requests.end(),
                   [](const PlannedRequest& a, const PlannedRequest& b) { return a.at < b.at; });
  return requests;
}

absl::StatusOr<std::vector<PlannedRequest>> ReadLoadTrace(const std::string& file,
                                                          const LoadMix& mix, uint64_t seed) {
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  std::string text, chunk(64 << 10, '\0');
  while (stream.is_open() && text.size() <= kMaxTraceBytes) {
    stream.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    text.append(chunk, 0, static_cast<size_t>(stream.gcount()));
    if (!stream) break;
  }
  if (!stream.is_open() || stream.bad()) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read the trace ", file));
  }
  if (text.size() > kMaxTraceBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": a trace has at most ", kMaxTraceBytes, " bytes"));
  }
  return ParseLoadTrace(text, file, mix, seed);
}

}  // namespace diffusiond
