// JSON that strangers send, and what of it goes back to them.
#ifndef DIFFUSIOND_SERVER_HTTP_JSON_BODY_H_
#define DIFFUSIOND_SERVER_HTTP_JSON_BODY_H_

#include <string>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace diffusiond {

// Levels of a body: values are copied and written level by level, on the thread's stack.
inline constexpr int kMaxJsonDepth = 16;

// What is said of a name that comes again.
inline constexpr char kNamedTwice[] = "is named more than once";

// INVALID_ARGUMENT: it is no object of JSON, has more levels, or names something twice in one
// object, of which a reader would take the last.
absl::StatusOr<nlohmann::json> ParseJsonObject(const std::string& body);

// In one line; what is not UTF-8 is replaced. `Json`: nlohmann::json or ordered_json.
template <typename Json>
std::string TextOf(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_JSON_BODY_H_
