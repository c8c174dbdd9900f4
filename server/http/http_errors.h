// What went wrong, as a client of HTTP is told.
#ifndef DIFFUSIOND_SERVER_HTTP_HTTP_ERRORS_H_
#define DIFFUSIOND_SERVER_HTTP_HTTP_ERRORS_H_

#include <string>

#include "absl/status/status.h"
#include "model/http/http_message.h"
#include "nlohmann/json.hpp"

namespace diffusiond {

// As google.rpc.Code's comments map them; 499 for CANCELLED.
int HttpStatusOf(absl::StatusCode code);

// What a client calls a field of GenerateRequest: "sampling.steps".
using FieldName = std::string (*)(const std::string& field);

// Of fields on one floor (RequestOfFields): "steps".
std::string FlatName(const std::string& field);

// A violation of a field is told by its client's name.
absl::Status InNamesOf(FieldName name_of, const absl::Status& status);

// {"error": {"message", "type", "param", "code", "violations": [{"field", "description"}]}}: the
// shape of OpenAI's API, with all violations beside the first, which is `param`. `code` is gRPC's
// name, "INVALID_ARGUMENT".
nlohmann::ordered_json ErrorJson(const absl::Status& status);

// With Retry-After in seconds, where the status knows.
HttpAnswer ErrorAnswer(const absl::Status& status);

// What the server of HTTP refuses by itself, in the same shape.
HttpAnswer RefusalAnswer(int status, const std::string& text);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_HTTP_ERRORS_H_
