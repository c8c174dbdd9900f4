#include "model/training/data/model_classes.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "model/files/file_status.h"
#include "model/training/data/labels.h"

namespace diffusiond {

absl::Status NumberAsModel(const std::vector<std::string>& classes, ImageDataset* data) {
  std::vector<std::string>& names = data->class_names;
  if (data->labels.empty() || classes.empty() || names == classes) return absl::OkStatus();
  const std::vector<int32_t> numbers = IndicesIn(classes, names);
  if (const auto unknown = std::find(numbers.begin(), numbers.end(), -1);
      unknown != numbers.end()) {
    if (AreNumbers(names)) {
      if (names.size() <= classes.size()) names = classes;
      return absl::OkStatus();
    }
    const auto index = static_cast<size_t>(unknown - numbers.begin());
    return absl::InvalidArgumentError(
        absl::StrCat("--data has a class ", Quoted(names[index]), ", expected one of the model's ",
                     classes.size(), ", ", Quoted(classes.front()), " to ", Quoted(classes.back()),
                     "; --class_names calls the data's otherwise"));
  }
  const std::vector<int32_t> before = data->labels;
  Renumber(numbers, &data->labels);
  names = classes;
  if (data->labels != before) data->digest = DigestOf(*data);
  return absl::OkStatus();
}

}  // namespace diffusiond
