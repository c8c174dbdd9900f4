// Puts a checkpoint into a repository as a model's next version (model_versions.h).
//
// Steps, each fsynced before the next:
//   1. NAME/ is made, and NAME/.publish.lock locked (flock): one publisher of a name at a time.
//   What
//      publishers that were killed left behind goes.
//   2. NAME/.version.tmp-.../ receives the checkpoint, the other files of its directory's root
//      (model card, pictures), version.json, and a generated README.md if there was none.
//   3. It is read back, and its digest compared with the source's.
//   4. It is renamed to NAME/<newest + 1>: a reader sees a whole version or none.
//   5. Versions past the limit are renamed to hidden names and removed.
// A kill at any moment leaves nothing that a server would load; the next publisher cleans up.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_PUBLISH_VERSION_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_PUBLISH_VERSION_H_

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/checkpoint/diffusers_directory.h"

namespace diffusiond {

inline constexpr int kDefaultPublishedVersions = 10;

struct PublishOptions {
  std::string name;  // IsModelName.
  // Versions that stay on disk: the newest so many, and the pinned one. 0: all. Else at least 2, so
  // that there is something to roll back to. A running server has what it serves in memory.
  int keep = kDefaultPublishedVersions;
  // How the model was made, for the generated card: Markdown. May be empty.
  std::string training;
  // Whether servers can serve it, beyond what PublishVersion looks at by itself: its networks
  // (model/unet/servable.h). Empty: they are not looked at.
  std::function<absl::Status(const Checkpoint&)> judge = {};
};

// INVALID_ARGUMENT names the field, its value and the range: to be told before hours of training.
absl::Status CheckPublishOptions(const PublishOptions& options);

struct PublishedVersion {
  int version = 0;
  std::filesystem::path directory;
  std::string digest;
  // The newest version was this checkpoint already, so nothing was written: publishing may be
  // tried again.
  bool already_there = false;
  std::vector<int> removed;  // Past the limit.
  // Of its files and defaults, as a server that loads it would say them.
  std::vector<std::string> warnings;
};

// Lines for people, with their ends: what was published, and what removed.
std::string Describe(const PublishedVersion& published);

// Publishes the checkpoint in `source`, in any layout, under `repository`, which is made if it is
// not there. Waits while another publisher of the same name is at work.
// INVALID_ARGUMENT: a wrong option; `source` is damaged, holds values that are not finite, or no
// server could draw with it. What `judge` says.
// FAILED_PRECONDITION: the model's directory is a checkpoint itself. File errors name the file;
// then no version was published.
absl::StatusOr<PublishedVersion> PublishVersion(const std::filesystem::path& repository,
                                                const std::filesystem::path& source,
                                                const PublishOptions& options);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_PUBLISH_VERSION_H_
