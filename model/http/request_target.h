// The path and the query of a request, and forms that are written like a query.
#ifndef DIFFUSIOND_MODEL_HTTP_REQUEST_TARGET_H_
#define DIFFUSIOND_MODEL_HTTP_REQUEST_TARGET_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/http/http_message.h"

namespace diffusiond {

// "%41" is A. INVALID_ARGUMENT: a '%' without two hexadecimal digits.
absl::StatusOr<std::string> PercentDecoded(absl::string_view text);

// "a=1&b=x+y%21&c": application/x-www-form-urlencoded, a query's and a form's. A name may come
// again; one without '=' has an empty value; what is empty between two '&' is nothing.
// INVALID_ARGUMENT as PercentDecoded.
absl::StatusOr<HttpFields> ParseUrlEncoded(absl::string_view text);

struct RequestTarget {
  std::string path;
  HttpFields query;
};

// The origin form alone, "/path?query": a proxy's form and "*" are of no use here.
// INVALID_ARGUMENT: another form, or a path or query that does not decode, or a path with a control
// character.
absl::StatusOr<RequestTarget> ParseRequestTarget(absl::string_view target);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_HTTP_REQUEST_TARGET_H_
