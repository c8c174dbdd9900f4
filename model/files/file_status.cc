#include "model/files/file_status.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace diffusiond {
namespace {

// A damaged file may carry a name of megabytes, or of escape codes; a message should not.
constexpr size_t kMaxShownBytes = 200;

}  // namespace

absl::Status InFile(const std::filesystem::path& path, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(path.string(), ": ", status.message()));
}

absl::Status ErrnoInFile(const std::filesystem::path& path, absl::string_view action, int error) {
  return InFile(path, absl::ErrnoToStatus(error, std::string(action)));
}

std::string Shown(absl::string_view text) {
  std::string shown;
  for (char c : text.substr(0, kMaxShownBytes)) {
    if (c >= ' ' && c <= '~') {
      shown += c;
    } else {
      absl::StrAppend(&shown, "\\x", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  if (text.size() > kMaxShownBytes) shown += "...";
  return shown;
}

std::string Quoted(absl::string_view name) { return absl::StrCat("'", Shown(name), "'"); }

}  // namespace diffusiond
