#include "client/commands/json_results.h"

#include "absl/flags/flag.h"
#include "client/message_json.h"
#include "nlohmann/json.hpp"

ABSL_FLAG(bool, json, false, "print the result as JSON, its messages named as in the API");

namespace diffusiond {
namespace {

using Json = nlohmann::ordered_json;

// Names of files and what servers say may hold bytes that are no UTF-8.
std::string Dump(const Json& json) {
  return json.dump(1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string GenerationJson(const v1::Completed& completed, const WrittenFiles& files,
                           const std::vector<std::string>& warnings) {
  Json images = Json::array();
  for (int i = 0; i < completed.receipt().image_sha256_size(); ++i) {
    Json image = {{"imageIndex", completed.receipt().parameters().first_image_index() + i}};
    const auto index = static_cast<size_t>(i);
    const bool saved = index < files.images.size() && !files.images[index].empty();
    image["path"] = saved ? Json(files.images[index]) : Json(nullptr);
    image["sha256"] = completed.receipt().image_sha256(i);
    images.push_back(std::move(image));
  }
  return Dump({{"images", std::move(images)},
               {"files", files.others},
               {"warnings", warnings},
               {"receipt", Json::parse(MessageJson(completed.receipt()))},
               {"timings", Json::parse(MessageJson(completed.timings()))}});
}

std::string GridJson(const GridAxis& x, const GridAxis& y, std::span<const v1::Receipt> receipts,
                     const std::string& path) {
  const auto axis = [](const GridAxis& of) {
    return of.name.empty() ? Json(nullptr) : Json{{"name", of.name}, {"values", of.values}};
  };
  const auto value = [](const GridAxis& of, size_t i) {
    return of.name.empty() ? Json(nullptr) : Json(of.values[i]);
  };
  Json images = Json::array();
  for (size_t i = 0; i < receipts.size(); ++i) {
    const v1::Receipt& receipt = receipts[i];
    images.push_back({{"x", value(x, i % x.values.size())},
                      {"y", value(y, i / x.values.size())},
                      {"sha256", receipt.image_sha256_size() > 0 ? receipt.image_sha256(0) : ""},
                      {"receipt", Json::parse(MessageJson(receipt))}});
  }
  return Dump(
      {{"x", axis(x)}, {"y", axis(y)}, {"images", std::move(images)}, {"files", {{"grid", path}}}});
}

std::string ReplayJson(const v1::Receipt& then, const v1::Receipt& now,
                       const std::vector<std::string>& differences,
                       const std::optional<PictureInHand>& picture) {
  bool identical = then.image_sha256_size() == now.image_sha256_size();
  Json images = Json::array();
  for (int i = 0; i < then.image_sha256_size(); ++i) {
    const std::string again = i < now.image_sha256_size() ? now.image_sha256(i) : "";
    identical = identical && again == then.image_sha256(i);
    images.push_back({{"imageIndex", then.parameters().first_image_index() + i},
                      {"then", then.image_sha256(i)},
                      {"now", again}});
  }
  identical = identical && (!picture.has_value() || picture->same_pixels);
  Json result = {
      {"identical", identical}, {"differences", differences}, {"images", std::move(images)}};
  if (picture.has_value()) {
    result["picture"] = {{"sameBytes", picture->same_bytes}, {"samePixels", picture->same_pixels}};
  }
  return Dump(result);
}

}  // namespace diffusiond
