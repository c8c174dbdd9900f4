#include "model/checkpoint/model_versions.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "model/checkpoint/checkpoint_files.h"
#include "model/checkpoint/durable_write.h"
#include "model/checkpoint/file_status.h"
#include "model/checkpoint/json_fields.h"
#include "model/checkpoint/mapped_file.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

constexpr size_t kDigestLength = 64;

bool IsDigest(absl::string_view text) {
  return text.size() == kDigestLength && std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
         });
}

// A small file's text; nothing: it is not there.
absl::StatusOr<std::optional<std::string>> ReadOptional(const fs::path& path) {
  absl::StatusOr<MappedFile> file = MappedFile::Open(path);
  if (absl::IsNotFound(file.status())) return std::nullopt;
  if (!file.ok()) return file.status();
  return std::string(file->text().substr(0, kMaxJsonBytes));
}

}  // namespace

bool IsModelName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxModelNameLength && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' ||
                  c == '-';
         });
}

absl::Status CheckModelName(absl::string_view name) {
  if (IsModelName(name)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("model name ", Quoted(name), ": a model's name is 1 .. ", kMaxModelNameLength,
                   " letters, digits, '.', '_' or '-', and begins with no '.'"));
}

std::optional<int> ParseVersion(absl::string_view name) {
  int version = 0;
  if (name.empty() || !absl::ascii_isdigit(static_cast<unsigned char>(name[0])) || name[0] == '0' ||
      !absl::SimpleAtoi(name, &version) || version > kMaxModelVersion) {
    return std::nullopt;
  }
  // SimpleAtoi takes spaces around.
  if (absl::StrCat(version) != name) return std::nullopt;
  return version;
}

bool LooksLikeCheckpoint(const fs::path& directory) {
  std::error_code ignored;
  return fs::exists(directory / kModelIndexName, ignored) ||
         fs::exists(directory / kNestedUNetConfig, ignored) ||
         fs::exists(directory / kFlatUNetConfig, ignored);
}

absl::StatusOr<std::vector<int>> ListVersions(const fs::path& model_directory) {
  std::error_code error;
  std::vector<int> versions;
  fs::directory_iterator entries(model_directory, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const std::optional<int> version = ParseVersion(entries->path().filename().string());
    std::error_code type_error;
    if (version.has_value() && entries->is_directory(type_error)) versions.push_back(*version);
  }
  if (error) return ErrnoInFile(model_directory, "cannot list", error.value());
  std::sort(versions.begin(), versions.end());
  return versions;
}

absl::StatusOr<std::optional<int>> ReadPinnedVersion(const fs::path& model_directory) {
  const fs::path path = model_directory / kPinnedVersionName;
  absl::StatusOr<std::optional<std::string>> text = ReadOptional(path);
  if (!text.ok()) return text.status();
  if (!text->has_value()) return std::nullopt;
  const std::optional<int> version = ParseVersion(absl::StripAsciiWhitespace(**text));
  if (version.has_value()) return version;
  return InFile(path,
                absl::InvalidArgumentError(absl::StrCat(
                    "says ", Quoted(**text), ", expected a version: 1 .. ", kMaxModelVersion)));
}

absl::Status PinVersion(const fs::path& model_directory, int version) {
  const fs::path directory = model_directory / absl::StrCat(version);
  struct stat info;
  if (version < 1 || stat(directory.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return InFile(model_directory,
                  absl::NotFoundError(absl::StrCat("has no version ", version, " to pin")));
  }
  return ReplaceFile(model_directory / kPinnedVersionName, absl::StrCat(version, "\n"));
}

absl::Status UnpinVersion(const fs::path& model_directory) {
  const fs::path path = model_directory / kPinnedVersionName;
  if (unlink(path.c_str()) == 0) return SyncDirectory(model_directory);
  return errno == ENOENT ? absl::OkStatus() : ErrnoInFile(path, "cannot remove", errno);
}

absl::StatusOr<std::optional<VersionRecord>> ReadVersionRecord(const fs::path& version_directory) {
  const fs::path path = version_directory / kVersionRecordName;
  absl::StatusOr<std::optional<std::string>> text = ReadOptional(path);
  if (!text.ok()) return text.status();
  if (!text->has_value()) return std::nullopt;
  absl::StatusOr<nlohmann::json> object = ParseJsonObject(**text);
  if (!object.ok()) return InFile(path, object.status());
  VersionRecord record;
  JsonFields fields(*object);
  fields.Read("digest", &record.digest);
  fields.Read("published", &record.published);
  if (absl::Status status = fields.status(); !status.ok()) return InFile(path, status);
  if (!IsDigest(record.digest)) {
    return InFile(path, absl::InvalidArgumentError(absl::StrCat("digest is ", Quoted(record.digest),
                                                                ", expected ", kDigestLength,
                                                                " lower-case hexadecimal digits")));
  }
  return record;
}

absl::StatusOr<std::string> FormatVersionRecord(const VersionRecord& record) {
  return FormatJson({{"digest", record.digest}, {"published", record.published}});
}

}  // namespace diffusiond
