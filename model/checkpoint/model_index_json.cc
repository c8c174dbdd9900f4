#include "model/checkpoint/model_index_json.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/json_fields.h"
#include "model/checkpoint/unet_config_json.h"

namespace diffusiond {
namespace {

using Json = nlohmann::json;

void ReadClassNames(JsonFields& fields, std::vector<std::string>* class_names) {
  const Json* labels = fields.Find("id2label");
  if (labels == nullptr) return;
  if (!labels->is_object()) return fields.Fault("id2label", "an object", *labels);
  for (size_t id = 0; id < labels->size(); ++id) {
    const auto label = labels->find(absl::StrCat(id));
    if (label == labels->end() || !label->is_string()) {
      return fields.Fault("id2label",
                          absl::StrCat("a string for each id from 0 to ", labels->size() - 1,
                                       ", id ", id, " included"),
                          label == labels->end() ? *labels : *label);
    }
    class_names->push_back(label->get<std::string>());
  }
}

}  // namespace

absl::StatusOr<ModelIndex> ParseModelIndex(absl::string_view json) {
  absl::StatusOr<Json> object = ParseJsonObject(json);
  if (!object.ok()) return object.status();
  JsonFields fields(*object);
  fields.NullIsAbsent();
  std::vector<std::string> unet = {"diffusers", "UNet2DModel"};
  fields.Read("unet", &unet);
  if (unet.size() != 2 || unet[1] != "UNet2DModel") {
    fields.Fault("unet", R"(["diffusers", "UNet2DModel"])", Json(unet));
  }
  ModelIndex index;
  ReadClassNames(fields, &index.class_names);
  fields.Read("null_class_id", &index.null_class_id);
  if (absl::Status status = fields.status(); !status.ok()) return status;
  return index;
}

absl::StatusOr<std::string> FormatModelIndex(const ModelIndex& index) {
  Json object = {
      {"_class_name", "DDPMPipeline"},
      {"_diffusers_version", kDiffusersVersion},
      {"scheduler", {"diffusers", index.scheduler_class}},
      {"unet", {"diffusers", "UNet2DModel"}},
  };
  for (size_t id = 0; id < index.class_names.size(); ++id) {
    object["id2label"][absl::StrCat(id)] = index.class_names[id];
  }
  if (index.null_class_id) object["null_class_id"] = *index.null_class_id;
  return FormatJson(object);
}

}  // namespace diffusiond
