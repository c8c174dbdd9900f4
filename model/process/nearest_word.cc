#include "model/process/nearest_word.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/match.h"

namespace diffusiond {

size_t EditDistance(absl::string_view a, absl::string_view b) {
  // Rows of the table for the last two bytes of `a`, and for this one.
  std::vector<size_t> before, last, row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    before = std::exchange(last, row);
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = last[j] + (a[i] == b[j] ? 0 : 1);
      row[j + 1] = std::min({replaced, row[j] + 1, last[j + 1] + 1});
      if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j]) {
        row[j + 1] = std::min(row[j + 1], before[j - 1] + 1);
      }
    }
  }
  return row.back();
}

std::string NearestWord(absl::string_view word, std::span<const std::string> words) {
  std::string nearest;
  // What differs in more than a third is another word.
  size_t best = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : words) {
    const bool prefix = word.size() >= 2 && absl::StartsWith(candidate, word);
    const size_t distance = prefix ? 1 : EditDistance(word, candidate);
    if (distance < best && distance < candidate.size()) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace diffusiond
