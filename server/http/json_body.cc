#include "server/http/json_body.h"

#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/status/status_macros.h"
#include "server/rpc/field_violations.h"

namespace diffusiond {

using Json = nlohmann::json;

namespace {
constexpr size_t kMaxName = 200;
}  // namespace

absl::StatusOr<Json> ParseJsonObject(const std::string& body) {
  bool too_deep = false;
  FieldViolations violations;
  // The names so far in each object that is open, from the outermost.
  std::vector<std::set<std::string>> open;
  // What is not kept is not built either.
  const auto keep = [&](int depth, Json::parse_event_t event, Json& parsed) {
    too_deep = too_deep || depth > kMaxJsonDepth;
    if (too_deep) return false;
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key) {
      const std::string& name = parsed.get_ref<const std::string&>();
      if (!open.back().insert(name).second) violations.Add(Shortened(name, kMaxName), kNamedTwice);
    }
    return true;
  };
  Json json = Json::parse(body, keep, /*allow_exceptions=*/false);
  if (too_deep) {
    return absl::InvalidArgumentError(
        absl::StrCat("the body is nested deeper than ", kMaxJsonDepth, " levels"));
  }
  if (!json.is_object()) return absl::InvalidArgumentError("the body is no JSON object");
  RETURN_IF_ERROR(violations.ToStatus());
  return json;
}

}  // namespace diffusiond
