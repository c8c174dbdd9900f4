// A GenerateRequest from names and values, as people type them.
#ifndef DIFFUSIOND_SERVER_HTTP_FLAT_REQUEST_H_
#define DIFFUSIOND_SERVER_HTTP_FLAT_REQUEST_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "nlohmann/json.hpp"
#include "server/models/model_catalog.h"
#include "server/rpc/field_violations.h"

namespace diffusiond {

// The model's class of that name, case ignored; null: there is none. Where a class may be told by
// name or number, "3" is the class named 3 before the one of that number.
const std::string* ClassNamed(const ServedModel& model, absl::string_view name);

// proto3's JSON of a GenerateRequest. INVALID_ARGUMENT: it is none, or names a field twice or two
// of which one alone may be told.
absl::StatusOr<v1::GenerateRequest> RequestOfJson(const std::string& json);

// `fields` is an object. Its keys are names of GenerateRequest, of its `sampling` and of its
// `preview`, all on one floor: "seed", "steps", "guidance_scale", "every_steps"; "class" is a name
// or a number (`catalog` has the model whose; null: a number is no name). Values are JSON's or
// texts, "0.5", "true"; words of an enumeration may be short and in any case, "webp".
// INVALID_ARGUMENT names every key that is none or tells again what another has told, and every
// value, beside `violations`.
absl::StatusOr<v1::GenerateRequest> RequestOfFields(const nlohmann::json& fields,
                                                    const ModelCatalog* catalog = nullptr,
                                                    FieldViolations violations = {});

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_FLAT_REQUEST_H_
