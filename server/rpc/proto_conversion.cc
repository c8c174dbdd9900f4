#include "server/rpc/proto_conversion.h"

#include <string>

#include "absl/algorithm/container.h"
#include "model/sampling/sampler.h"
#include "server/rpc/guidance_fields.h"
#include "server/rpc/sampling_fields.h"
#include "server/rpc/start_fields.h"
#include "server/rpc/version.h"

namespace diffusiond {
namespace {

v1::SamplingOptions DefaultsOf(const ServedModel& model) {
  v1::SamplingOptions defaults;
  WriteSampling(model.defaults.sampling, &defaults);
  defaults.clear_strength();
  WriteGuidance({.scale = model.defaults.guidance_scale}, &defaults);
  return defaults;
}

v1::OptionKind ToProto(OptionKind kind) {
  switch (kind) {
    case OptionKind::kSwitch:
      return v1::OPTION_KIND_SWITCH;
    case OptionKind::kInteger:
      return v1::OPTION_KIND_INTEGER;
    case OptionKind::kNumber:
      return v1::OPTION_KIND_NUMBER;
    case OptionKind::kWord:
      return v1::OPTION_KIND_WORD;
  }
  return v1::OPTION_KIND_UNSPECIFIED;
}

v1::OptionInfo ToProto(const OptionSpec& option) {
  v1::OptionInfo info;
  info.set_name(std::string(option.name));
  info.set_kind(ToProto(option.kind));
  info.set_low(option.range.low);
  info.set_high(option.range.high);
  info.set_low_excluded(option.range.above_low);
  for (const absl::string_view word : option.words) info.add_words(std::string(word));
  info.set_help(std::string(option.help));
  return info;
}

}  // namespace

v1::ImageFormat ToProto(ImageEncoding encoding) {
  switch (encoding) {
    case ImageEncoding::kPng:
      return v1::IMAGE_FORMAT_PNG;
    case ImageEncoding::kWebp:
      return v1::IMAGE_FORMAT_WEBP;
    case ImageEncoding::kJpeg:
      return v1::IMAGE_FORMAT_JPEG;
    case ImageEncoding::kRawFloat32:
      return v1::IMAGE_FORMAT_RAW_FLOAT32;
  }
  return v1::IMAGE_FORMAT_UNSPECIFIED;
}

ImageEncoding FromProto(v1::ImageFormat format) {
  switch (format) {
    case v1::IMAGE_FORMAT_WEBP:
      return ImageEncoding::kWebp;
    case v1::IMAGE_FORMAT_JPEG:
      return ImageEncoding::kJpeg;
    case v1::IMAGE_FORMAT_RAW_FLOAT32:
      return ImageEncoding::kRawFloat32;
    default:
      return ImageEncoding::kPng;
  }
}

v1::PreviewKind ToProto(PreviewContent content) {
  switch (content) {
    case PreviewContent::kXt:
      return v1::PREVIEW_KIND_X_T;
    case PreviewContent::kX0Hat:
      return v1::PREVIEW_KIND_X0_HAT;
    case PreviewContent::kBoth:
      return v1::PREVIEW_KIND_BOTH;
    case PreviewContent::kNone:
      break;
  }
  return v1::PREVIEW_KIND_UNSPECIFIED;
}

v1::Numerics ToProto(const ServedNumerics& numerics) {
  v1::Numerics message;
  message.set_server_version(kServerVersion);
  message.set_libtorch_version(numerics.libtorch_version);
  message.set_device_kind(numerics.device_kind);
  message.set_micro_batch(static_cast<uint32_t>(numerics.micro_batch));
  message.set_network_numerics(static_cast<uint32_t>(numerics.network_numerics));
  return message;
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration message;
  message.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  message.set_nanos(
      static_cast<int32_t>(absl::IDivDuration(duration, absl::Nanoseconds(1), &duration)));
  return message;
}

v1::ResolvedParameters ToProto(const GenerationRequest& request) {
  v1::ResolvedParameters parameters;
  parameters.set_model(request.model->name);
  parameters.set_count(static_cast<uint32_t>(request.count));
  parameters.set_first_image_index(request.first_image_index);
  parameters.set_seed(request.seed);
  if (request.class_id.has_value()) {
    parameters.set_class_id(static_cast<uint32_t>(*request.class_id));
    parameters.set_class_name(request.model->class_names[static_cast<size_t>(*request.class_id)]);
  }
  WriteSampling(request.sampling, parameters.mutable_sampling());
  if (request.start.image == nullptr) parameters.mutable_sampling()->clear_strength();
  WriteGuidance(request.guidance, parameters.mutable_sampling());
  WriteStart(request.start, &parameters);
  parameters.set_format(ToProto(request.encoding));
  return parameters;
}

v1::Model ToProto(const ServedModel& model, const RequestLimits& limits) {
  v1::Model message;
  message.set_name(model.name);
  message.set_digest(model.digest);
  message.set_version(static_cast<uint32_t>(model.version));
  message.set_width(static_cast<uint32_t>(model.width));
  message.set_height(static_cast<uint32_t>(model.height));
  message.set_channels(static_cast<uint32_t>(model.channels));
  for (size_t id = 0; id < model.class_names.size(); ++id) {
    if (static_cast<int>(id) == model.null_class_id) continue;
    v1::ModelClass* model_class = message.add_classes();
    model_class->set_id(static_cast<uint32_t>(id));
    model_class->set_name(model.class_names[id]);
  }
  message.set_has_null_class(model.null_class_id.has_value());
  message.set_has_classifier(model.has_classifier);
  message.set_needs_class(model.is_conditional && !model.null_class_id.has_value());
  message.set_num_parameters(model.num_parameters);
  message.set_prediction_type(model.scheduler.prediction_type);
  message.set_beta_schedule(model.scheduler.is_edm()                ? "edm"
                            : model.scheduler.trained_betas.empty() ? model.scheduler.beta_schedule
                                                                    : "trained_betas");
  message.set_num_train_timesteps(static_cast<uint32_t>(model.scheduler.num_train_timesteps));
  for (const Sampler& sampler : Samplers()) {
    if (!CanRun(sampler, model.scheduler)) continue;
    const auto unavailable = absl::c_find_if(
        model.unavailable_samplers,
        [&](const UnavailableSampler& entry) { return entry.name == sampler.name; });
    if (unavailable != model.unavailable_samplers.end()) {
      v1::UnavailableSampler* entry = message.add_unavailable_samplers();
      entry->set_name(unavailable->name);
      entry->set_reason(unavailable->reason);
      continue;
    }
    v1::SamplerInfo* info = message.add_samplers();
    info->set_name(sampler.name);
    info->set_description(sampler.description);
    for (const std::string& option : sampler.options) info->add_options(option);
    info->set_default_steps(static_cast<uint32_t>(
        DefaultSteps(sampler, model.defaults.sampling, model.scheduler.num_train_timesteps)));
  }
  for (const OptionSpec& option : kSamplingOptions) *message.add_options() = ToProto(option);
  for (const OptionSpec& option : kGuidanceOptions) *message.add_options() = ToProto(option);
  *message.mutable_defaults() = DefaultsOf(model);
  for (const std::string& warning : model.warnings) message.add_warnings(warning);
  message.mutable_limits()->set_max_count(static_cast<uint32_t>(limits.max_count));
  message.mutable_limits()->set_max_steps(message.num_train_timesteps());
  message.mutable_limits()->set_max_guidance_scale(static_cast<float>(limits.max_guidance_scale));
  *message.mutable_numerics() = ToProto(model.numerics);
  return message;
}

}  // namespace diffusiond
