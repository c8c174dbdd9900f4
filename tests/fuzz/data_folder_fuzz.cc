// Any tree of files as a data set, one a line of the input: its name, a tab, and what it holds
// ("g" grey, "c" colour, "w" wide, "d" a folder, "l" a link to itself, else these bytes). The first
// line says how it is opened. It is refused, or gives as many images and labels as it says.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "model/imaging/png.h"
#include "model/training/data/open_dataset.h"
#include "tests/fuzz/scratch_folder.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFiles = 24;

std::string Png(int width, int channels) {
  const auto bytes = static_cast<size_t>(2 * width * channels);
  return EncodePng({.width = width,
                    .height = 2,
                    .channels = channels,
                    .pixels = std::vector<uint8_t>(bytes, 7)})
      .value();
}

// Nothing outside the folder.
bool IsInside(const fs::path& name) {
  if (name.empty() || name.is_absolute()) return false;
  for (const fs::path& part : name) {
    if (part == ".." || part == "." || part.string().size() > 64) return false;
  }
  return name.string().find('\0') == std::string::npos;
}

void Make(const fs::path& path, const std::string& what) {
  std::error_code ignored;
  fs::create_directories(path.parent_path(), ignored);
  if (what == "d") {
    fs::create_directory(path, ignored);
  } else if (what == "l") {
    fs::create_symlink(path, path, ignored);
  } else {
    std::ofstream(path, std::ios::binary) << (what == "g"   ? Png(2, 1)
                                              : what == "c" ? Png(2, 3)
                                              : what == "w" ? Png(5, 3)
                                                            : what);
  }
}

void Try(const std::vector<std::string>& lines) {
  const ScratchFolder folder;
  const std::string& how = lines[0];
  for (size_t i = 1; i < lines.size() && i <= kMaxFiles; ++i) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(lines[i], absl::MaxSplits('\t', 1));
    if (IsInside(parts.first)) Make(folder.path() / parts.first, parts.second);
  }
  const auto has = [&how](char option) { return how.find(option) != std::string::npos; };
  DatasetSpec spec;
  spec.path = folder.path();
  spec.split = has('t') ? DatasetSplit::kTest : DatasetSplit::kTrain;
  spec.max_bytes = 1000;
  spec.max_images = has('m') ? 2 : 0;
  spec.max_left_out = has('a') ? 1 : 0.1;
  spec.resolution = has('r') ? 2 : 0;
  if (has('r')) spec.crop = has('w') ? Crop::kRandom : has('c') ? Crop::kCenter : Crop::kNone;
  if (has('n')) spec.class_names = {"x", "y"};
  const absl::StatusOr<ImageDataset> data = OpenDataset(spec);
  if (!data.ok()) {
    if (data.status().message().empty()) std::abort();
    return;
  }
  if (data->size() < 1) std::abort();
  if (data->pixels.size() != static_cast<size_t>(data->size() * data->image_bytes())) std::abort();
  if (!data->labels.empty() && data->labels.size() != static_cast<size_t>(data->size())) {
    std::abort();
  }
}

}  // namespace
}  // namespace diffusiond

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  diffusiond::Try(absl::StrSplit(text, '\n'));
  return 0;
}
