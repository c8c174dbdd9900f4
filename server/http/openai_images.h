// OpenAI's images API: its requests as generations, generations as its answers.
// https://platform.openai.com/docs/api-reference/images
#ifndef DIFFUSIOND_SERVER_HTTP_OPENAI_IMAGES_H_
#define DIFFUSIOND_SERVER_HTTP_OPENAI_IMAGES_H_

#include "absl/status/statusor.h"
#include "model/http/http_message.h"
#include "nlohmann/json.hpp"
#include "server/http/http_generation.h"
#include "server/models/model_catalog.h"
#include "server/rpc/generation_request.h"

namespace diffusiond {

// Previews of each image that a stream may ask for; theirs takes 3.
inline constexpr int kMaxPartialImages = 1000;

// POST /v1/images/generations. `prompt` is the name of a class, case ignored, or its number (for a
// model without classes: empty, or the model's name); `n`, `size` ("auto" or the model's),
// `response_format`
// ("b64_json", or "url": a data: URL), `output_format`, `stream` and `partial_images`, evenly over
// the steps. What else RequestOfFields takes may stand beside them. `user` acts on nothing;
// `quality`, `background`, `style` and `moderation` may be "auto". INVALID_ARGUMENT names the
// field.
absl::StatusOr<HttpTask> ReadOpenAiRequest(const HttpRequest& request, const ModelCatalog& catalog);

// GET /v1/models, and one of them. Beside OpenAI's fields each has `diffusiond`, a Model of the
// API.
nlohmann::ordered_json OpenAiModels(const ModelCatalog& catalog, const RequestLimits& limits);
nlohmann::ordered_json OpenAiModel(const ServedModel& model, const RequestLimits& limits);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_OPENAI_IMAGES_H_
