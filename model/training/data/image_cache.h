// Images that were resized once, so that the next start need not decode photos again.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_IMAGE_CACHE_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_IMAGE_CACHE_H_

#include <filesystem>
#include <optional>

#include "absl/status/status.h"
#include "model/imaging/image.h"

namespace diffusiond {

// A directory of PNG files, each named by the SHA-256 of its original's absolute path, size, time
// of change and the resolution. It may be removed at any time; nothing in it is ever removed here.
// Processes may share it.
class ImageCache {
 public:
  ImageCache(std::filesystem::path directory, int resolution)
      : directory_(std::move(directory)), resolution_(resolution) {}

  // Of the original at `path`, as it was kept; nothing if it was not, has changed since, or what
  // was kept is damaged.
  std::optional<Image> Find(const std::filesystem::path& path) const;

  // Makes the directory if it is not there. Errors name the file.
  absl::Status Keep(const std::filesystem::path& path, const Image& image) const;

 private:
  // Empty if the original cannot be asked.
  std::filesystem::path PlaceOf(const std::filesystem::path& path) const;

  const std::filesystem::path directory_;
  const int resolution_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_IMAGE_CACHE_H_
