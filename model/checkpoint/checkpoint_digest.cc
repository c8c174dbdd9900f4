#include "model/checkpoint/checkpoint_digest.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "model/checkpoint/scheduler_config_json.h"
#include "model/checkpoint/unet_config_json.h"
#include "model/files/file_status.h"
#include "model/files/sha256.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

using Json = nlohmann::json;

absl::StatusOr<Json> Fields(const absl::StatusOr<std::string>& formatted) {
  if (!formatted.ok()) return formatted.status();
  Json fields = Json::parse(*formatted);
  fields.erase("_diffusers_version");
  return fields;
}

// Throws what nlohmann does for a name that is not UTF-8.
void UpdateWithTensors(const TensorMap& tensors, Sha256* sha) {
  for (const auto& [name, tensor] : tensors) {
    const Json head = {
        {"dtype", std::string(DtypeName(tensor.dtype))}, {"name", name}, {"shape", tensor.shape}};
    sha->Update(absl::StrCat(head.dump(), "\n"));
    sha->Update(tensor.data);
  }
}

}  // namespace

absl::StatusOr<std::string> CheckpointDigest(const CheckpointConfig& config,
                                             const TensorMap& tensors,
                                             const TensorMap& classifier_tensors) {
  ASSIGN_OR_RETURN(const Json unet, Fields(FormatUNetConfig(config.unet)));
  ASSIGN_OR_RETURN(const Json scheduler, Fields(FormatSchedulerConfig(config.scheduler)));
  const Json all = {
      {"class_names", config.class_names},
      {"null_class_id", config.null_class_id ? Json(*config.null_class_id) : Json(nullptr)},
      {"scheduler", scheduler},
      {"unet", unet}};
  absl::StatusOr<Json> classifier = Json();
  if (config.classifier) classifier = Fields(FormatUNetConfig(*config.classifier));
  if (!classifier.ok()) return classifier.status();
  Sha256 sha;
  sha.Update("diffusiond checkpoint 1\n");
  try {
    sha.Update(absl::StrCat(all.dump(), "\n"));
    UpdateWithTensors(tensors, &sha);
    if (config.classifier) {
      sha.Update(absl::StrCat("classifier\n", classifier->dump(), "\n"));
      UpdateWithTensors(classifier_tensors, &sha);
    }
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("a name is not UTF-8: ", Shown(error.what())));
  }
  return sha.FinishHex();
}

}  // namespace diffusiond
