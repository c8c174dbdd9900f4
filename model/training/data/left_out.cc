#include "model/training/data/left_out.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "model/files/file_status.h"

namespace diffusiond {

std::string NamesOf(std::span<const LeftOut> files) {
  std::string names;
  for (const LeftOut& file : files.first(std::min(files.size(), kMostNamed))) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", Shown(file.file), " (", file.why, ")");
  }
  if (files.size() > kMostNamed) {
    absl::StrAppend(&names, " and ", files.size() - kMostNamed, " more");
  }
  return names;
}

std::string Describe(std::span<const LeftOut> left_out, int64_t found) {
  return absl::StrCat(left_out.size(), " of ", found, " images ",
                      left_out.size() == 1 ? "is" : "are", " left out: ", NamesOf(left_out));
}

absl::Status CheckLeftOut(std::span<const LeftOut> left_out, int64_t found, double max_share) {
  const auto count = static_cast<int64_t>(left_out.size());
  const double allowed = max_share * static_cast<double>(found);
  if (count == 0 || (static_cast<double>(count) <= allowed && count < found)) {
    return absl::OkStatus();
  }
  if (count >= found) {
    return absl::InvalidArgumentError(
        absl::StrCat("none of the ", found, " images can be used: ", NamesOf(left_out)));
  }
  return absl::FailedPreconditionError(Describe(left_out, found));
}

}  // namespace diffusiond
