#include "server/versions/version_loader.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/checkpoint/model_versions.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"
#include "server/engine/model_key.h"

namespace diffusiond {
namespace {

// What was published must be what was read.
absl::Status CheckRecord(const std::filesystem::path& path, const std::string& digest) {
  ASSIGN_OR_RETURN(const std::optional<VersionRecord> record, ReadVersionRecord(path));
  if (!record.has_value() || record->digest == digest) return absl::OkStatus();
  return InFile(
      path, absl::DataLossError(absl::StrCat("has digest ", digest, ", but ", kVersionRecordName,
                                             " says that ", record->digest, " was published")));
}

}  // namespace

absl::StatusOr<VersionLoader::Loaded> VersionLoader::Load(const ModelDirectory& directory,
                                                          const Request& request) const {
  ASSIGN_OR_RETURN(const std::filesystem::path path, directory.VersionPath(request.number));
  ASSIGN_OR_RETURN(LoadedModel model, options_.load(path, options_.devices, request.micro_batch));
  RETURN_IF_ERROR(CheckRecord(path, model.digest));
  ASSIGN_OR_RETURN(ServedModel served,
                   MakeServedModel(directory.name, model.config, model.digest, model.num_parameters,
                                   {model.libtorch_version, model.device_kind, model.micro_batch,
                                    model.network_numerics},
                                   model.warnings));
  served.version = request.number;
  served.key = ModelKey(directory.name, request.number, request.copy);

  auto version = std::make_shared<ModelVersion>();
  version->served = std::move(served);
  version->copy = request.copy;
  version->stamp = request.stamp;
  version->network = model.config.unet;
  version->make_executor = std::move(model.rebuild);
  return Loaded{.version = std::move(version),
                .executors = std::move(model.executors),
                .profile = std::move(model.profile)};
}

}  // namespace diffusiond
