#include "model/training/data/labels.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

absl::Status OutOfRange(std::span<const int32_t> labels, int64_t classes, const char* why) {
  const auto wrong = std::find_if(labels.begin(), labels.end(),
                                  [&](int32_t label) { return label < 0 || label >= classes; });
  return absl::InvalidArgumentError(absl::StrCat("label of image ", wrong - labels.begin(), " is ",
                                                 *wrong, ", expected 0 to ", classes - 1, why));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> NameClasses(std::span<const int32_t> labels,
                                                     std::span<const std::string> names) {
  const auto [least, largest] = std::minmax_element(labels.begin(), labels.end());
  if (!names.empty()) {
    const auto classes = static_cast<int64_t>(names.size());
    if (*least < 0 || *largest >= classes) {
      return OutOfRange(labels, classes, " (as many classes as have names)");
    }
    return std::vector<std::string>(names.begin(), names.end());
  }

  if (*least >= 1) {
    const bool dense = int64_t{*largest} - *least < static_cast<int64_t>(labels.size()) &&
                       int64_t{*largest} - *least ==
                           int64_t(std::set<int32_t>(labels.begin(), labels.end()).size()) - 1;
    return absl::InvalidArgumentError(
        dense ? absl::StrCat("labels begin at ", *least, " (", *least, " to ", *largest,
                             "), expected from 0: subtract ", *least,
                             " from each, or write the classes' names in place of numbers")
              : absl::StrCat("labels are ", *least, " to ", *largest,
                             " with gaps and none is 0, expected 0, 1, 2, ... without gaps: number "
                             "the classes anew, write their names in place of numbers, or name "
                             "all of 0 to ",
                             *largest, " by --class_names"));
  }

  // More classes than images cannot all have one, so this bounds what a label can make us allocate.
  const int64_t at_most = std::min<int64_t>(int64_t{*largest} + 1, labels.size());
  std::vector<bool> seen(at_most, false);
  for (const int32_t label : labels) {
    if (label >= 0 && label < at_most) seen[label] = true;
  }
  const int64_t classes = std::find(seen.begin(), seen.end(), false) - seen.begin();
  if (*least < 0 || *largest >= classes) {
    return OutOfRange(labels, classes,
                      " (the classes before the first one without images; "
                      "give class names if classes may be empty)");
  }
  std::vector<std::string> numbers(classes);
  for (int64_t i = 0; i < classes; ++i) numbers[i] = absl::StrCat(i);
  return numbers;
}

bool AreNumbers(std::span<const std::string> names) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] != absl::StrCat(i)) return false;
  }
  return true;
}

std::vector<int32_t> IndicesIn(std::span<const std::string> classes,
                               std::span<const std::string> names) {
  std::vector<int32_t> indices;
  for (const std::string& name : names) {
    const auto found = std::find(classes.begin(), classes.end(), name);
    indices.push_back(found == classes.end() ? -1 : static_cast<int32_t>(found - classes.begin()));
  }
  return indices;
}

bool AreAllIn(std::span<const std::string> classes, std::span<const std::string> names) {
  const std::vector<int32_t> indices = IndicesIn(classes, names);
  return std::find(indices.begin(), indices.end(), -1) == indices.end();
}

void Renumber(std::span<const int32_t> numbers, std::vector<int32_t>* labels) {
  for (int32_t& label : *labels) label = numbers[static_cast<size_t>(label)];
}

}  // namespace diffusiond
