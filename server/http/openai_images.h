// OpenAI's images API: its requests as generations.
// https://platform.openai.com/docs/api-reference/images
#ifndef DIFFUSIOND_SERVER_HTTP_OPENAI_IMAGES_H_
#define DIFFUSIOND_SERVER_HTTP_OPENAI_IMAGES_H_

#include <string>

#include "absl/status/statusor.h"
#include "model/http/http_message.h"
#include "server/http/http_errors.h"
#include "server/http/http_generation.h"
#include "server/models/model_catalog.h"

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
absl::StatusOr<HttpTask> ReadOpenAiGeneration(const HttpRequest& request,
                                              const ModelCatalog& catalog);

// How much of a picture without a mask an edit draws, unless it says `strength`.
inline constexpr float kEditStrength = 0.6F;

// POST /v1/images/edits, a form of RFC 7578: `image`, a file, is what drawing starts from; `mask`,
// a file with alpha, fitted as it is, says by its transparent parts where to draw. Else as
// above; of other sizes than the model's the middle is taken (`picture_fit`: COVER), unless told.
// A receipt's mask_sha256 is of the mask as GenerateRequest has it, white where to draw, in PNG.
// Reads the mask, which takes a while.
absl::StatusOr<HttpTask> ReadOpenAiEdit(const HttpRequest& request, const ModelCatalog& catalog,
                                        int max_picture_side);

// What their clients call a field of GenerateRequest: "n" for count.
std::string OpenAiName(const std::string& field);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_OPENAI_IMAGES_H_
