// A GenerateRequest from names and values, as people type them.
#ifndef DIFFUSIOND_SERVER_HTTP_FLAT_REQUEST_H_
#define DIFFUSIOND_SERVER_HTTP_FLAT_REQUEST_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "nlohmann/json.hpp"

namespace diffusiond {

// proto3's JSON of a GenerateRequest. INVALID_ARGUMENT: it is none.
absl::StatusOr<v1::GenerateRequest> RequestOfJson(const std::string& json);

// `fields` is an object. Its keys are names of GenerateRequest, of its `sampling` and of its
// `preview`, all on one floor: "seed", "steps", "guidance_scale", "every_steps"; "class" is a name
// or a number. Values are JSON's or texts, "0.5", "true"; words of an enumeration may be short and
// in any case, "webp". INVALID_ARGUMENT names every key that is none, and every value.
absl::StatusOr<v1::GenerateRequest> RequestOfFields(const nlohmann::json& fields);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_FLAT_REQUEST_H_
