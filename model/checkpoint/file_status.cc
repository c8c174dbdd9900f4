#include "model/checkpoint/file_status.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace diffusiond {
namespace {

// A damaged file may carry a name of megabytes; a message should not.
constexpr size_t kMaxQuotedBytes = 200;

}  // namespace

absl::Status InFile(const std::filesystem::path& path, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(path.string(), ": ", status.message()));
}

absl::Status ErrnoInFile(const std::filesystem::path& path, absl::string_view action, int error) {
  return InFile(path, absl::ErrnoToStatus(error, std::string(action)));
}

std::string Quoted(absl::string_view name) {
  const bool cut = name.size() > kMaxQuotedBytes;
  return absl::StrCat("'", absl::Utf8SafeCHexEscape(name.substr(0, kMaxQuotedBytes)),
                      cut ? "...'" : "'");
}

}  // namespace diffusiond
