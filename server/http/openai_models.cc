#include "server/http/openai_models.h"

#include <algorithm>
#include <utility>
#include <vector>

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
  std::vector<ModelCatalog::Model> models = catalog.List();
  std::stable_partition(
      models.begin(), models.end(),
      [first = catalog.default_model()](const auto& model) { return model->name == first; });
  for (const auto& model : models) data.push_back(OpenAiModel(*model, limits));
  return {{"object", "list"}, {"data", std::move(data)}};
}

}  // namespace diffusiond
