// OpenAI's list of models.
// https://platform.openai.com/docs/api-reference/models
#ifndef DIFFUSIOND_SERVER_HTTP_OPENAI_MODELS_H_
#define DIFFUSIOND_SERVER_HTTP_OPENAI_MODELS_H_

#include "nlohmann/json.hpp"
#include "server/models/model_catalog.h"
#include "server/rpc/generation_request.h"

namespace diffusiond {

// GET /v1/models, the default model first, then by name; and one of them. Beside OpenAI's fields
// each has `diffusiond`, a Model of the API.
nlohmann::ordered_json OpenAiModels(const ModelCatalog& catalog, const RequestLimits& limits);
nlohmann::ordered_json OpenAiModel(const ServedModel& model, const RequestLimits& limits);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_OPENAI_MODELS_H_
