#include "model/checkpoint/reserved_names.h"

namespace diffusiond {
namespace {

struct ReservedName {
  absl::string_view name;
  absl::string_view owner;
};

constexpr ReservedName kReservedNames[] = {
    {"lost+found", "fsck, at the root of every ext volume"},
    {"@eaDir", "Synology's indexer, in every directory"},
    {"#recycle", "Synology's recycle bin"},
    {"#snapshot", "Synology's snapshots"},
    {"@Recycle", "QNAP's recycle bin"},
    {"@Recently-Snapshot", "QNAP's snapshots"},
    {"~snapshot", "NetApp's snapshots over SMB"},
    {"$RECYCLE.BIN", "Windows' recycle bin"},
    {"System Volume Information", "Windows, at the root of every volume"},
    {"__MACOSX", "macOS, in every zip archive that it packs"},
};

}  // namespace

absl::string_view ReservedFor(absl::string_view name) {
  for (const ReservedName& reserved : kReservedNames) {
    if (reserved.name == name) return reserved.owner;
  }
  return "";
}

bool IsPassedOver(absl::string_view name) {
  return name.empty() || name[0] == '.' || !ReservedFor(name).empty();
}

}  // namespace diffusiond
