// The API's own messages over HTTP: JSON, server-sent events, or just a picture.
#ifndef DIFFUSIOND_SERVER_HTTP_JSON_API_H_
#define DIFFUSIOND_SERVER_HTTP_JSON_API_H_

#include <string>

#include "absl/status/statusor.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "google/protobuf/message.h"
#include "model/http/http_message.h"
#include "server/http/http_generation.h"
#include "server/models/model_catalog.h"

namespace diffusiond {

// proto3's JSON, in one line; numbers that are zero are there, too.
std::string JsonOf(const google::protobuf::Message& message);
// The same in a tenth of the time, of what comes at steps of each image.
std::string JsonOf(const v1::Progress& progress);
std::string JsonOf(const v1::Preview& preview);

// POST /v1/generate: a GenerateRequest in JSON. By Accept: text/event-stream (accepted, progress,
// preview, image, completed and error, each with its message of GenerateEvent), a picture as below,
// or else a GenerateImagesResponse.
absl::StatusOr<HttpTask> ReadJsonRequest(const HttpRequest& request);

// GET /v1/generate?class=bag&seed=7: RequestOfFields of the query, each name once. By Accept as
// above, but else the picture itself (image/png, image/webp, image/jpeg), of count 1, with its
// receipt as the header Diffusiond-Receipt.
absl::StatusOr<HttpTask> ReadQueryRequest(const HttpRequest& request, const ModelCatalog& catalog);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_JSON_API_H_
