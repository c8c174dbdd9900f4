#include "server/http/json_body.h"

#include "absl/strings/str_cat.h"

namespace diffusiond {

using Json = nlohmann::json;

absl::StatusOr<Json> ParseJsonObject(const std::string& body) {
  bool too_deep = false;
  // What is not kept is not built either.
  const auto keep = [&too_deep](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMaxJsonDepth;
    return !too_deep;
  };
  Json json = Json::parse(body, keep, /*allow_exceptions=*/false);
  if (too_deep) {
    return absl::InvalidArgumentError(
        absl::StrCat("the body is nested deeper than ", kMaxJsonDepth, " levels"));
  }
  if (!json.is_object()) return absl::InvalidArgumentError("the body is no JSON object");
  return json;
}

}  // namespace diffusiond
