#include "model/process/nearest_word.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "absl/strings/match.h"

namespace diffusiond {

size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::string NearestWord(absl::string_view word, std::span<const std::string> words) {
  std::string nearest;
  size_t best = 3;  // More differences than two are another word.
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
