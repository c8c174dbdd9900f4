#include "model/checkpoint/model_index_json.h"

#include <array>
#include <nlohmann/json.hpp>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/checkpoint_files.h"
#include "model/checkpoint/json_fields.h"
#include "model/checkpoint/unet_config_json.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"

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

// Pipelines that run the network in pixel space, with any scheduler that is read here.
constexpr std::array<absl::string_view, 3> kPixelPipelines = {"DDPMPipeline", "DDIMPipeline",
                                                              "PNDMPipeline"};
// Pipelines of diffusers whose UNet2DModel is something else, or is run in another way.
constexpr std::array<absl::string_view, 13> kOtherPipelines = {"AudioDiffusionPipeline",
                                                               "ConsistencyModelPipeline",
                                                               "DanceDiffusionPipeline",
                                                               "DiTPipeline",
                                                               "KarrasVePipeline",
                                                               "LDMPipeline",
                                                               "LDMSuperResolutionPipeline",
                                                               "LDMTextToImagePipeline",
                                                               "LatentDiffusionUncondPipeline",
                                                               "RePaintPipeline",
                                                               "ScoreSdeVePipeline",
                                                               "UnCLIPImageVariationPipeline",
                                                               "UnCLIPPipeline"};

void ReadPipeline(JsonFields& fields, ModelIndex* index, std::vector<std::string>* warnings) {
  const Json* found = fields.Find("_class_name");
  index->pipeline_class = "";
  if (found == nullptr || found->is_null()) return;
  const std::string name = found->is_string() ? found->get<std::string>() : found->dump();
  if (absl::c_linear_search(kOtherPipelines, name)) {
    fields.Fault("_class_name",
                 "a pipeline that draws pixels with unet and scheduler alone, as "
                 "DDPMPipeline, DDIMPipeline or PNDMPipeline",
                 *found);
  } else if (!absl::c_linear_search(kPixelPipelines, name)) {
    warnings->push_back(absl::StrCat(kModelIndexName, ": _class_name is ", Quoted(name),
                                     ", not a pipeline known here: drawn as DDPMPipeline draws"));
  }
  index->pipeline_class = name;
}

// A component is [library, class], or [null, null]: none.
void CheckComponents(const Json& object, JsonFields& fields, std::vector<std::string>* warnings) {
  for (const auto& [name, value] : object.items()) {
    if (name[0] == '_' || name == "unet" || name == "scheduler" || name == "id2label" ||
        name == "null_class_id" || value.is_null()) {
      continue;
    }
    const bool pair = value.is_array() && value.size() == 2;
    if (pair && value[0].is_null() && value[1].is_null()) continue;
    const bool component = pair && value[0].is_string() && value[1].is_string();
    if (component) {
      fields.Fault(absl::StrCat("component ", name),
                   "none beside unet and scheduler: with one the network does not draw pixels",
                   value);
    } else {
      warnings->push_back(absl::StrCat(kModelIndexName, ": the field ", Quoted(name),
                                       " is not known here and changes nothing"));
    }
  }
}

void ReadSchedulerClass(JsonFields& fields, ModelIndex* index) {
  index->scheduler_class = "";
  const Json* found = fields.Find("scheduler");
  if (found != nullptr && found->is_array() && found->size() == 2 && (*found)[1].is_string()) {
    index->scheduler_class = (*found)[1].get<std::string>();
  }
}

}  // namespace

absl::StatusOr<ModelIndex> ParseModelIndex(absl::string_view json) {
  std::vector<std::string> unheard;
  return ParseModelIndex(json, &unheard);
}

absl::StatusOr<ModelIndex> ParseModelIndex(absl::string_view json,
                                           std::vector<std::string>* warnings) {
  ASSIGN_OR_RETURN(Json object, ParseJsonObject(json));
  JsonFields fields(object);
  fields.NullIsAbsent();
  ModelIndex index;
  ReadPipeline(fields, &index, warnings);
  CheckComponents(object, fields, warnings);
  ReadSchedulerClass(fields, &index);
  std::vector<std::string> unet = {"diffusers", "UNet2DModel"};
  fields.Read("unet", &unet);
  if (unet.size() != 2 || unet[1] != "UNet2DModel") {
    fields.Fault("unet", R"(["diffusers", "UNet2DModel"])", Json(unet));
  }
  ReadClassNames(fields, &index.class_names);
  fields.Read("null_class_id", &index.null_class_id);
  RETURN_IF_ERROR(fields.status());
  return index;
}

absl::StatusOr<std::string> FormatModelIndex(const ModelIndex& index) {
  Json object = {
      {"_class_name", index.pipeline_class.empty() ? Json() : Json(index.pipeline_class)},
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
