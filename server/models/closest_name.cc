#include "server/models/closest_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "model/process/nearest_word.h"
#include "model/process/quoted_value.h"

namespace diffusiond {
namespace {

// A longer name is no typing error of a class name; the bound keeps the search's cost small.
constexpr size_t kMaxComparedBytes = 64;
constexpr size_t kMaxListedBytes = 240;

const std::string* Closest(absl::string_view name, absl::Span<const std::string> known) {
  if (name.size() > kMaxComparedBytes) return nullptr;
  const std::string lower = absl::AsciiStrToLower(name);
  // At most a third of the name may differ, else the guess would look silly.
  size_t best = std::max<size_t>(1, name.size() / 3) + 1;
  const std::string* closest = nullptr;
  for (const std::string& candidate : known) {
    if (candidate.empty() || candidate.size() > kMaxComparedBytes) continue;
    const size_t distance = EditDistance(lower, absl::AsciiStrToLower(candidate));
    if (distance >= best) continue;
    best = distance;
    closest = &candidate;
  }
  return closest;
}

}  // namespace

std::string UnknownName(absl::string_view name, absl::Span<const std::string> known) {
  std::string text = absl::StrCat(QuoteValue(name), " is unknown; ");
  if (const std::string* closest = Closest(name, known); closest != nullptr) {
    absl::StrAppend(&text, "did you mean ", QuoteValue(*closest), "? ");
  }
  absl::StrAppend(&text, "there are: ");
  const char* separator = "";
  for (const std::string& candidate : known) {
    if (candidate.empty()) continue;
    if (text.size() > kMaxListedBytes) {
      absl::StrAppend(&text, ", ...");
      break;
    }
    absl::StrAppend(&text, separator, candidate);
    separator = ", ";
  }
  return text;
}

}  // namespace diffusiond
