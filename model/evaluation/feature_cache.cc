#include "model/evaluation/feature_cache.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/evaluation/progress_file.h"
#include "model/files/sha256.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr char kShape[] = "shape";
constexpr char kValues[] = "values";
constexpr char kLogScores[] = "log_scores";
// Images as floats in memory at once.
constexpr int64_t kImagesAtOnce = 1024;

NumberTable Column(const std::vector<float>& values) {
  return {.columns = 1, .values = std::vector<double>(values.begin(), values.end())};
}

std::vector<float> InFloat(const NumberTable& table) {
  return {table.values.begin(), table.values.end()};
}

absl::StatusOr<ImageFeatures> Extract(const ImageDataset& data, FeatureNetwork* network) {
  ImageFeatures all;
  for (int64_t begin = 0; begin < data.size(); begin += kImagesAtOnce) {
    std::vector<Frame> frames;
    for (int64_t i = begin; i < std::min(begin + kImagesAtOnce, data.size()); ++i) {
      frames.push_back(ToFrame(ImageAt(data, i)));
    }
    ASSIGN_OR_RETURN(ImageFeatures part, network->Extract(frames));
    all.images += part.images;
    all.dimensions = part.dimensions;
    all.classes = part.classes;
    all.values.insert(all.values.end(), part.values.begin(), part.values.end());
    all.log_scores.insert(all.log_scores.end(), part.log_scores.begin(), part.log_scores.end());
  }
  return all;
}

}  // namespace

absl::StatusOr<ImageFeatures> CachedFeatures(const std::filesystem::path& directory,
                                             const ImageDataset& data, FeatureNetwork* network) {
  const std::string fingerprint =
      absl::StrCat("features of ", data.digest, " by ", network->identity());
  const std::filesystem::path path =
      directory / absl::StrCat("features-", Sha256Hex(fingerprint).substr(0, 16), ".safetensors");
  absl::StatusOr<NumberTables> tables =
      LoadNumberTables(path, fingerprint, {{kShape, 3}, {kValues, 1}, {kLogScores, 1}});
  if (absl::IsNotFound(tables.status())) {
    ASSIGN_OR_RETURN(ImageFeatures features, Extract(data, network));
    NumberTables fresh = {{kValues, Column(features.values)},
                          {kLogScores, Column(features.log_scores)}};
    fresh[kShape].AppendRow({static_cast<double>(features.images),
                             static_cast<double>(features.dimensions),
                             static_cast<double>(features.classes)});
    RETURN_IF_ERROR(SaveNumberTables(path, fresh, fingerprint));
    return features;
  }
  if (!tables.ok()) return tables.status();
  ImageFeatures features;
  const std::vector<double>& shape = (*tables)[kShape].values;
  if (shape.size() == 3) {
    features = {.images = static_cast<int64_t>(shape[0]),
                .dimensions = static_cast<int64_t>(shape[1]),
                .classes = static_cast<int64_t>(shape[2]),
                .values = InFloat((*tables)[kValues]),
                .log_scores = InFloat((*tables)[kLogScores])};
  }
  const auto count = [&](int64_t columns) { return static_cast<size_t>(data.size() * columns); };
  if (features.images != data.size() || features.values.size() != count(features.dimensions) ||
      features.log_scores.size() != count(features.classes)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path.string(), ": its tables do not have the sizes that it says"));
  }
  return features;
}

}  // namespace diffusiond
