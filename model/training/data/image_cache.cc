#include "model/training/data/image_cache.h"

#include <system_error>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "model/files/durable_write.h"
#include "model/files/mapped_file.h"
#include "model/files/sha256.h"
#include "model/imaging/png.h"
#include "model/status/status_macros.h"
#include "model/training/data/file_text.h"

namespace diffusiond {

namespace fs = std::filesystem;

std::optional<Image> ImageCache::Find(const fs::path& path) const {
  const fs::path place = PlaceOf(path);
  std::error_code error;
  if (place.empty() || !fs::exists(place, error)) return std::nullopt;
  const absl::StatusOr<MappedFile> file = MappedFile::Open(place);
  if (!file.ok()) return std::nullopt;
  absl::StatusOr<Image> image = DecodePng(TextOf(*file));
  if (!image.ok()) return std::nullopt;
  return *std::move(image);
}

absl::Status ImageCache::Keep(const fs::path& path, const Image& image) const {
  const fs::path place = PlaceOf(path);
  if (place.empty()) return absl::OkStatus();
  std::error_code error;
  fs::create_directories(directory_, error);
  if (error) {
    return absl::ErrnoToStatus(error.value(),
                               absl::StrCat("cannot make the directory ", directory_.string()));
  }
  ASSIGN_OR_RETURN(const std::string png, EncodePng(image));
  return ReplaceFile(place, png);
}

fs::path ImageCache::PlaceOf(const fs::path& path) const {
  std::error_code error;
  const fs::path whole = fs::absolute(path, error);
  const auto size = error ? 0 : fs::file_size(path, error);
  if (error) return {};
  const auto changed = fs::last_write_time(path, error);
  if (error) return {};
  const std::string key = absl::StrCat(whole.string(), std::string(1, '\0'), size, " ",
                                       changed.time_since_epoch().count(), " ", resolution_);
  return directory_ / (Sha256Hex(key) + ".png");
}

}  // namespace diffusiond
