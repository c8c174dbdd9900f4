#include "client/output_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/picture_codec.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

absl::Status FileError(const std::string& doing, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", doing, " ", path));
}

absl::Status WriteAll(int fd, const std::string& bytes, const std::string& path) {
  size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t count = write(fd, bytes.data() + written, bytes.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return FileError("write", path);
    written += static_cast<size_t>(count);
  }
  return absl::OkStatus();
}

// Whether the path is of the file that this process has open as `fd`: /dev/stdout, where that goes
// into one.
bool IsOpenAs(const std::string& path, int fd) {
  struct stat named = {}, open = {};
  return stat(path.c_str(), &named) == 0 && fstat(fd, &open) == 0 && named.st_dev == open.st_dev &&
         named.st_ino == open.st_ino;
}

// `shown`: what an error names.
absl::Status WriteInto(const std::string& path, int flags, const std::string& shown,
                       const std::string& bytes) {
  const int fd = open(path.c_str(), flags, 0666);
  if (fd < 0) return FileError("create", shown);
  absl::Status status = WriteAll(fd, bytes, shown);
  // A full disk may show only now.
  if (close(fd) != 0 && status.ok()) status = FileError("write", shown);
  return status;
}

absl::Status MakeDirectory(const fs::path& directory) {
  std::error_code error;
  if (!directory.empty()) fs::create_directories(directory, error);
  if (!error) return absl::OkStatus();
  return absl::ErrnoToStatus(error.value(),
                             absl::StrCat("cannot make the directory ", directory.string()));
}

// What SaveFile renames to `path` in the end.
std::string TemporaryFor(const fs::path& path) {
  return absl::StrCat(path.string(), ".", getpid(), ".tmp");
}

constexpr int kNewFile = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;

}  // namespace

std::string ForFileName(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const bool kept = absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
    if (kept) {
      name += absl::ascii_tolower(static_cast<unsigned char>(c));
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  return name;
}

bool NamesImageFile(const std::string& out, v1::ImageFormat* format) {
  std::error_code ignored;
  if (out.empty() || fs::is_directory(out, ignored)) return false;
  const std::string extension = fs::path(out).extension().string();
  if (extension.size() < 2) return false;
  const absl::StatusOr<v1::ImageFormat> parsed = ParseFormat(extension.substr(1));
  if (!parsed.ok()) return false;
  *format = *parsed;
  return true;
}

OutputFiles::OutputFiles(const std::string& out, const v1::ResolvedParameters& parameters)
    : count_(parameters.count()), last_index_(parameters.first_image_index() + count_ - 1) {
  v1::ImageFormat format;
  named_by_user_ = NamesImageFile(out, &format);
  if (named_by_user_) {
    fs::path path(out);
    extension_ = path.extension().string();
    stem_ = path.replace_extension().string();
    return;
  }
  extension_ = absl::StrCat(".", FileExtension(parameters.format()));
  std::string name = ForFileName(parameters.model());
  if (parameters.has_class_id()) {
    const std::string of_class = ForFileName(parameters.class_name());
    absl::StrAppend(&name, "-",
                    of_class.empty() ? absl::StrCat("class", parameters.class_id()) : of_class);
  }
  absl::StrAppend(&name, "-", parameters.seed());
  stem_ = out.empty() || out == "." ? name : (fs::path(out) / name).string();
}

std::string OutputFiles::ImagePath(uint32_t index) const {
  if (named_by_user_ && count_ == 1) return stem_ + extension_;
  std::string number = absl::StrCat(index);
  const size_t digits = absl::StrCat(last_index_).size();
  number.insert(0, digits - std::min(digits, number.size()), '0');
  return absl::StrCat(stem_, "-", number, extension_);
}

std::string OutputFiles::ReceiptPath() const { return stem_ + ".json"; }

absl::Status SaveFile(const std::string& path, const std::string& bytes) {
  RETURN_IF_ERROR(MakeDirectory(fs::path(path).parent_path()));
  // Nothing takes the place of a device or a pipe (/dev/stdout), or of a link to what is meant.
  std::error_code not_there;
  const fs::file_status there = fs::status(path, not_there);
  for (const int standard : {STDOUT_FILENO, STDERR_FILENO}) {
    if (IsOpenAs(path, standard)) return WriteAll(standard, bytes, path);
  }
  if (fs::exists(there) && !fs::is_regular_file(there)) {
    return WriteInto(path, O_WRONLY | O_CLOEXEC, path, bytes);
  }
  std::error_code error;
  const fs::path whole = fs::exists(there) ? fs::canonical(path, error) : fs::path(path);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot write ", path));
  const std::string temporary = TemporaryFor(whole);
  absl::Status status = WriteInto(temporary, kNewFile, path, bytes);
  if (status.ok() && rename(temporary.c_str(), whole.c_str()) != 0)
    status = FileError("write", path);
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

absl::Status CheckFolder(const std::string& folder) {
  RETURN_IF_ERROR(MakeDirectory(folder));
  const std::string temporary = TemporaryFor(fs::path(folder) / ".diffusionctl");
  // Only an attempt tells: of rights, of a disk that is read-only or has no place for a name.
  const int fd = open(temporary.c_str(), kNewFile, 0666);
  if (fd < 0) return FileError("write into the directory", folder.empty() ? "." : folder);
  close(fd);
  unlink(temporary.c_str());
  return absl::OkStatus();
}

absl::Status CheckFile(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  RETURN_IF_ERROR(MakeDirectory(parent));
  std::error_code error;
  const fs::file_status there = fs::status(path, error);
  if (fs::is_directory(there)) {
    return absl::ErrnoToStatus(EISDIR, absl::StrCat("cannot write ", path));
  }
  for (const int standard : {STDOUT_FILENO, STDERR_FILENO}) {
    if (IsOpenAs(path, standard)) return absl::OkStatus();
  }
  // Another program may be waiting at a pipe for its first writer.
  if (fs::exists(there) && !fs::is_regular_file(there)) return absl::OkStatus();
  const fs::path whole = fs::exists(there) ? fs::canonical(path, error) : fs::path(path);
  return CheckFolder(whole.parent_path().string());
}

}  // namespace diffusiond
