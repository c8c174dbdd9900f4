// What the API over HTTP is, for tools: OpenAPI 3.1.
#ifndef DIFFUSIOND_SERVER_HTTP_OPENAPI_DOCUMENT_H_
#define DIFFUSIOND_SERVER_HTTP_OPENAPI_DOCUMENT_H_

#include <string>

#include "absl/types/span.h"
#include "server/http/embedded_file.h"

namespace diffusiond {

// Of the folder openapi, and the descriptors of the API's messages.
absl::Span<const EmbeddedFile> OpenApiFiles();

// openapi.json and schemas.json with the schemas of the API's messages that they name, and of those
// that they name, as proto3's JSON has them and with their comments; and with the fields of
// GenerateRequest where they stand on one floor (RequestOfFields). The same bytes each time.
// Thread-safe.
const std::string& OpenApiDocument();

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_OPENAPI_DOCUMENT_H_
