#include "server/http/openai_models.h"

#include <utility>

#include "server/http/json_api.h"
#include "server/rpc/proto_conversion.h"

namespace diffusiond {

using Json = nlohmann::ordered_json;

Json OpenAiModel(const ServedModel& model, const RequestLimits& limits) {
  return {{"id", model.name},
          {"object", "model"},
          {"created", 0},
          {"owned_by", "diffusiond"},
          {"diffusiond", Json::parse(JsonOf(ToProto(model, limits)))}};
}

Json OpenAiModels(const ModelCatalog& catalog, const RequestLimits& limits) {
  Json data = Json::array();
  for (const auto& model : catalog.List()) data.push_back(OpenAiModel(*model, limits));
  return {{"object", "list"}, {"data", std::move(data)}};
}

}  // namespace diffusiond
