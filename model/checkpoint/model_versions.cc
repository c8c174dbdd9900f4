#include "model/checkpoint/model_versions.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "model/checkpoint/checkpoint_files.h"
#include "model/checkpoint/json_fields.h"
#include "model/checkpoint/reserved_names.h"
#include "model/files/durable_write.h"
#include "model/files/file_status.h"
#include "model/files/mapped_file.h"
#include "model/status/status_macros.h"

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

// "'a', 'b' and 3 more".
std::string Listed(const std::vector<std::string>& names) {
  constexpr size_t kMostShown = 5;
  std::string text;
  for (size_t i = 0; i < names.size() && i < kMostShown; ++i) {
    const bool last = i + 1 == names.size();
    absl::StrAppend(&text, i == 0 ? "" : last ? " and " : ", ", Quoted(names[i]));
  }
  if (names.size() > kMostShown)
    absl::StrAppend(&text, " and ", names.size() - kMostShown, " more");
  return text;
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
  if (const absl::string_view owner = ReservedFor(name); !owner.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model name ", Quoted(name), " is what servers pass over: it belongs to ", owner));
  }
  if (IsModelName(name)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("model name ", Quoted(name), ": a model's name is 1 .. ", kMaxModelNameLength,
                   " letters, digits, '.', '_' or '-', and begins with no '.'"));
}

std::optional<int> ParseVersion(absl::string_view name) {
  int version = 0;
  // SimpleAtoi takes signs and spaces too.
  const bool digits = std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
  if (!digits || !absl::SimpleAtoi(name, &version) || version < 1 || version > kMaxModelVersion) {
    return std::nullopt;
  }
  return version;
}

bool LooksLikeCheckpoint(const fs::path& directory) {
  std::error_code ignored;
  return fs::exists(directory / kModelIndexName, ignored) ||
         fs::exists(directory / kNestedUNetConfig, ignored) ||
         fs::exists(directory / kFlatUNetConfig, ignored);
}

std::vector<int> VersionFolders::Numbers() const {
  std::vector<int> numbers;
  for (const auto& [version, names] : versions) numbers.push_back(version);
  return numbers;
}

absl::StatusOr<std::string> VersionFolders::NameOf(int version) const {
  const auto found = versions.find(version);
  if (found == versions.end()) {
    return absl::NotFoundError(absl::StrCat("has no version ", version));
  }
  if (found->second.size() == 1) return found->second.front();
  return absl::InvalidArgumentError(absl::StrCat("has version ", version, " more than once, as ",
                                                 Listed(found->second), ": keep one of them"));
}

absl::StatusOr<VersionFolders> ListVersionFolders(const fs::path& model_directory) {
  std::error_code error;
  VersionFolders folders;
  fs::directory_iterator entries(model_directory, error);
  for (size_t seen = 0; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    if (++seen > kMaxModelEntries) {
      return InFile(model_directory, absl::ResourceExhaustedError(absl::StrCat(
                                         "holds more than the limit of ", kMaxModelEntries,
                                         " entries, so it is not looked through for versions")));
    }
    std::string name = entries->path().filename().string();
    std::error_code type_error;
    if (IsPassedOver(name) || !entries->is_directory(type_error)) continue;
    const std::optional<int> version = ParseVersion(name);
    std::vector<std::string>& names =
        version.has_value() ? folders.versions[*version] : folders.others;
    names.push_back(std::move(name));
  }
  if (error) return ErrnoInFile(model_directory, "cannot list", error.value());
  for (auto& [version, names] : folders.versions) std::sort(names.begin(), names.end());
  std::sort(folders.others.begin(), folders.others.end());
  return folders;
}

absl::StatusOr<std::vector<int>> ListVersions(const fs::path& model_directory) {
  ASSIGN_OR_RETURN(const VersionFolders folders, ListVersionFolders(model_directory));
  return folders.Numbers();
}

absl::StatusOr<fs::path> FindVersion(const fs::path& model_directory, int version) {
  ASSIGN_OR_RETURN(const VersionFolders folders, ListVersionFolders(model_directory));
  const absl::StatusOr<std::string> name = folders.NameOf(version);
  if (!name.ok()) return InFile(model_directory, name.status());
  return model_directory / *name;
}

std::string NoVersions(const std::vector<std::string>& names) {
  return absl::StrCat(Listed(names), names.size() == 1 ? " is no version" : " are no versions",
                      ": a version is named by a whole number, 1 .. ", kMaxModelVersion,
                      ", in digits alone (diffusion-publish makes one of a run's checkpoint/)");
}

absl::StatusOr<std::optional<int>> ReadPinnedVersion(const fs::path& model_directory) {
  const fs::path path = model_directory / kPinnedVersionName;
  ASSIGN_OR_RETURN(std::optional<std::string> text, ReadOptional(path));
  if (!text.has_value()) return std::nullopt;
  const std::optional<int> version = ParseVersion(absl::StripAsciiWhitespace(*text));
  if (version.has_value()) return version;
  return InFile(path,
                absl::InvalidArgumentError(absl::StrCat(
                    "says ", Quoted(*text), ", expected a version: 1 .. ", kMaxModelVersion)));
}

absl::Status PinVersion(const fs::path& model_directory, int version) {
  const absl::StatusOr<fs::path> directory = FindVersion(model_directory, version);
  if (!directory.ok()) {
    return absl::Status(directory.status().code(),
                        absl::StrCat(directory.status().message(), "; nothing is pinned"));
  }
  return ReplaceFile(model_directory / kPinnedVersionName, absl::StrCat(version, "\n"));
}

absl::Status UnpinVersion(const fs::path& model_directory) {
  std::error_code error;
  if (!fs::is_directory(model_directory, error)) {
    return InFile(model_directory,
                  absl::NotFoundError("there is no such model; nothing is unpinned"));
  }
  const fs::path path = model_directory / kPinnedVersionName;
  if (unlink(path.c_str()) == 0) return SyncDirectory(model_directory);
  return errno == ENOENT ? absl::OkStatus() : ErrnoInFile(path, "cannot remove", errno);
}

absl::StatusOr<std::optional<VersionRecord>> ReadVersionRecord(const fs::path& version_directory) {
  const fs::path path = version_directory / kVersionRecordName;
  ASSIGN_OR_RETURN(std::optional<std::string> text, ReadOptional(path));
  if (!text.has_value()) return std::nullopt;
  absl::StatusOr<nlohmann::json> object = ParseJsonObject(*text);
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
