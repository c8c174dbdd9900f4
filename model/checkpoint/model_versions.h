// A model's numbered versions on disk: what the directory REPOSITORY/NAME holds when it is not a
// checkpoint itself.
//
//   NAME/1/, NAME/2/, ...   checkpoints (diffusers_directory.h), each with
//     version.json          {"digest": "<64 hex>", "published": "2026-11-21T17:00:00+00:00"}
//     README.md             model card
//   NAME/pinned_version     a number in decimal: the version to serve in place of the newest
//   NAME/.*                 what publishers work on (publish_version.h); readers pass over it, and
//                           over reserved names (reserved_names.h)
//
// A version is a directory that is named by a whole number, 1 .. kMaxModelVersion, in decimal
// digits and nothing else: "7", and with leading zeros "007", which is version 7 too (both beside
// each other are refused). "v7", "7.1" and "2024-01-01" are none; readers name them, and pass over
// them. The newest version is the highest number.
//
// Both files of a version are optional, and so is the pin: `cp -r` under a hidden name and a rename
// publish too.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_MODEL_VERSIONS_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_MODEL_VERSIONS_H_

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

inline constexpr size_t kMaxModelNameLength = 64;
inline constexpr int kMaxModelVersion = 999'999'999;
// Files and directories side by side in a model's directory; one with more is none.
inline constexpr size_t kMaxModelEntries = 10'000;
inline constexpr char kVersionRecordName[] = "version.json";
inline constexpr char kPinnedVersionName[] = "pinned_version";
inline constexpr char kModelCardName[] = "README.md";

// 1 .. kMaxModelNameLength letters, digits, '.', '_' and '-', not a '.' first.
bool IsModelName(absl::string_view name);

// INVALID_ARGUMENT, naming the rule, unless IsModelName.
absl::Status CheckModelName(absl::string_view name);

// "12" and "012" -> 12. Nothing: not a version's name.
std::optional<int> ParseVersion(absl::string_view name);

// Whether the directory is a checkpoint by the look of its files.
bool LooksLikeCheckpoint(const std::filesystem::path& directory);

// What the directories in a model's directory are by their names.
struct VersionFolders {
  std::map<int, std::vector<std::string>>
      versions;                     // Names, sorted; two of one version: a mistake.
  std::vector<std::string> others;  // No versions, and not IsPassedOver. Sorted.

  std::vector<int> Numbers() const;  // Ascending.
  // NOT_FOUND: there is no such version. INVALID_ARGUMENT: several directories are named like it.
  absl::StatusOr<std::string> NameOf(int version) const;
};

// The directory's error if it cannot be listed. RESOURCE_EXHAUSTED: it holds more than
// kMaxModelEntries.
absl::StatusOr<VersionFolders> ListVersionFolders(const std::filesystem::path& model_directory);
// Their numbers alone.
absl::StatusOr<std::vector<int>> ListVersions(const std::filesystem::path& model_directory);
// The directory of a version; errors as VersionFolders::NameOf.
absl::StatusOr<std::filesystem::path> FindVersion(const std::filesystem::path& model_directory,
                                                  int version);

// "'v1' and 'old' are no versions: those are named by ...", for messages; no more than a few names.
std::string NoVersions(const std::vector<std::string>& names);

// Nothing: not pinned. INVALID_ARGUMENT: the file says something else than a version's number.
absl::StatusOr<std::optional<int>> ReadPinnedVersion(const std::filesystem::path& model_directory);

// Makes every server that watches the repository serve this version, until it is unpinned or pinned
// elsewhere; atomic and durable. Errors as VersionFolders::NameOf.
absl::Status PinVersion(const std::filesystem::path& model_directory, int version);

// Lets servers follow the newest version again. No effect if none is pinned.
absl::Status UnpinVersion(const std::filesystem::path& model_directory);

// What the publisher noted of a version.
struct VersionRecord {
  std::string digest;     // Checkpoint::digest().
  std::string published;  // RFC 3339; may be empty.
};

// Nothing: there is none. INVALID_ARGUMENT: damaged, or without a digest.
absl::StatusOr<std::optional<VersionRecord>> ReadVersionRecord(
    const std::filesystem::path& version_directory);

absl::StatusOr<std::string> FormatVersionRecord(const VersionRecord& record);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_MODEL_VERSIONS_H_
