#include "server/rpc/generation_request.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/sampling/sampling_advice.h"
#include "model/status/status_macros.h"
#include "server/models/closest_name.h"
#include "server/rpc/field_violations.h"
#include "server/rpc/guidance_fields.h"
#include "server/rpc/proto_conversion.h"
#include "server/rpc/requested_model.h"
#include "server/rpc/sampling_fields.h"

namespace diffusiond {
namespace {

// Resolves the fields of one request on one model, noting each fault and going on.
class Resolver {
 public:
  Resolver(const v1::GenerateRequest& request, std::shared_ptr<const ServedModel> model,
           const RequestLimits& limits, PreviewSupport previews)
      : request_(request), limits_(limits), previews_(previews) {
    result_.model = std::move(model);
    result_.sampling = result_.model->defaults.sampling;
  }

  absl::StatusOr<GenerationRequest> Resolve(uint64_t seed_if_absent) {
    result_.seed = request_.has_seed() ? request_.seed() : seed_if_absent;
    ResolveCount();
    ResolveFirstImage();
    ResolveClass();
    const bool asks_for_class = request_.class_case() != v1::GenerateRequest::CLASS_NOT_SET;
    result_.guidance = ReadGuidance(request_.sampling(), asks_for_class, model(),
                                    limits_.max_guidance_scale, &violations_);
    ResolveSampler();
    ReadSampling(request_.sampling(), sampler_, model().scheduler.num_train_timesteps,
                 &result_.sampling, &violations_);
    result_.start =
        ReadStart(request_, model(), result_.count, limits_.max_picture_side, &violations_);
    result_.encoding = ResolveFormat("format", request_.format(), /*allow_raw=*/true);
    ResolvePreview();
    ResolvePriority();
    RETURN_IF_ERROR(violations_.ToStatus());
    const ServedDefaults& defaults = model().defaults;
    result_.warnings = SamplingAdvice(*sampler_, result_.sampling, result_.guidance,
                                      defaults.sampling, defaults.guidance_scale);
    WarnOfStartWithoutEffect();
    ForgetUnreadOptions(*sampler_, &result_.sampling);
    return std::move(result_);
  }

 private:
  const ServedModel& model() const { return *result_.model; }

  void ResolveCount() {
    if (!request_.has_count()) return;
    if (request_.count() < 1 || request_.count() > static_cast<uint32_t>(limits_.max_count)) {
      violations_.Add("count",
                      absl::StrCat(request_.count(), " is not in 1 .. ", limits_.max_count));
      return;
    }
    result_.count = static_cast<int>(request_.count());
  }

  void ResolveFirstImage() {
    // Of as many images as 32 bits can count.
    const uint32_t last =
        std::numeric_limits<uint32_t>::max() - static_cast<uint32_t>(result_.count - 1);
    if (request_.first_image_index() > last) {
      violations_.Add("first_image_index",
                      absl::StrCat(request_.first_image_index(), " is not in 0 .. ", last,
                                   " for count ", result_.count));
    }
    if (request_.first_image_index() > 0 && request_.has_morph_seed()) {
      violations_.Add("first_image_index",
                      "is set, but an image of a morph depends on how many there are: draw all, "
                      "or unset morph_seed");
    }
    result_.first_image_index = request_.first_image_index();
  }

  void ResolveClass() {
    const int num_classes = static_cast<int>(model().class_names.size());
    const char* const field =
        request_.class_case() == v1::GenerateRequest::kClassId ? "class_id" : "class_name";
    if (request_.class_case() == v1::GenerateRequest::CLASS_NOT_SET) {
      if (model().is_conditional && !model().null_class_id.has_value()) {
        violations_.Add("class_id",
                        absl::StrCat("is unset, but the model has no null class: choose 0"
                                     " .. ",
                                     num_classes - 1, ", or a class_name"));
      }
      return;
    }
    if (num_classes == 0) {
      violations_.Add(field, "is set, but the model has no classes");
      return;
    }
    if (request_.class_case() == v1::GenerateRequest::kClassId) {
      const uint32_t id = request_.class_id();
      if (id >= static_cast<uint32_t>(num_classes)) {
        violations_.Add(field, absl::StrCat(id, " is not in 0 .. ", num_classes - 1));
      } else if (static_cast<int>(id) == model().null_class_id) {
        violations_.Add(field,
                        absl::StrCat(id, " is the null class: leave the class unset for it"));
      }
      result_.class_id = static_cast<int>(id);
      return;
    }
    if (absl::c_all_of(model().class_names, [](const std::string& name) { return name.empty(); })) {
      violations_.Add(field,
                      absl::StrCat(QuoteValue(request_.class_name()),
                                   " is unknown: the classes of this model have no names, use"
                                   " class_id 0 .. ",
                                   num_classes - 1));
      return;
    }
    const auto found = absl::c_find_if(model().class_names, [this](const std::string& name) {
      return !name.empty() && absl::EqualsIgnoreCase(name, request_.class_name());
    });
    if (found == model().class_names.end()) {
      violations_.Add(field, UnknownName(request_.class_name(), model().class_names));
      return;
    }
    result_.class_id = static_cast<int>(found - model().class_names.begin());
  }

  void ResolvePriority() {
    switch (request_.priority()) {
      case v1::PRIORITY_UNSPECIFIED:
      case v1::PRIORITY_NORMAL:
        return;
      case v1::PRIORITY_HIGH:
        result_.priority = Priority::kHigh;
        return;
      case v1::PRIORITY_LOW:
        result_.priority = Priority::kLow;
        return;
      default:
        violations_.Add("priority", absl::StrCat(static_cast<int>(request_.priority()),
                                                 " is not in 0 .. 3: NORMAL, HIGH, NORMAL, LOW"));
    }
  }

  void ResolveSampler() {
    if (request_.sampling().has_sampler()) {
      result_.sampling.sampler = request_.sampling().sampler();
    }
    sampler_ = FindSampler(result_.sampling.sampler);
    if (sampler_ != nullptr && CanRun(*sampler_, model().scheduler)) {
      result_.sampling.steps =
          DefaultSteps(*sampler_, model().defaults.sampling, model().scheduler.num_train_timesteps);
      return;
    }
    std::vector<std::string> names;
    for (const Sampler& sampler : Samplers()) {
      if (CanRun(sampler, model().scheduler)) names.push_back(sampler.name);
    }
    violations_.Add(
        "sampling.sampler",
        sampler_ == nullptr
            ? UnknownName(result_.sampling.sampler, names)
            : absl::StrCat(QuoteValue(sampler_->name),
                           " does not draw from a model of EDM, which has no betas; there are: ",
                           absl::StrJoin(names, ", ")));
  }

  void WarnOfStartWithoutEffect() {
    if (result_.start.image == nullptr || result_.start.keep != nullptr) return;
    if (result_.sampling.strength < 1) return;
    result_.warnings.push_back(absl::StrCat(
        "init_image has next to no effect: sampling.strength is ", result_.sampling.strength,
        ", so that all of it becomes noise; 0.3 .. 0.9 keeps of it, and so does a mask"));
  }

  ImageEncoding ResolveFormat(absl::string_view field, v1::ImageFormat format, bool allow_raw) {
    const ImageEncoding encoding = FromProto(format);
    if (!v1::ImageFormat_IsValid(format)) {
      violations_.Add(
          field, absl::StrCat(static_cast<int>(format), " is not an ImageFormat: PNG, WEBP, JPEG",
                              allow_raw ? " or RAW_FLOAT32" : ""));
      return encoding;
    }
    if (encoding == ImageEncoding::kRawFloat32 && !allow_raw) {
      violations_.Add(field, "IMAGE_FORMAT_RAW_FLOAT32 is not allowed, only PNG, WEBP, JPEG");
      return encoding;
    }
    if (!CanEncode(encoding, model().channels)) {
      violations_.Add(field, absl::StrCat(EncodingName(encoding), " cannot carry the ",
                                          model().channels, " channels of the model",
                                          allow_raw ? "; IMAGE_FORMAT_RAW_FLOAT32 can" : ""));
    }
    return encoding;
  }

  void ResolvePreview() {
    if (!request_.has_preview()) return;
    if (previews_ == PreviewSupport::kNotAllowed) {
      violations_.Add("preview", "is set, but only Generate sends previews; unset it");
      return;
    }
    const v1::PreviewOptions& preview = request_.preview();
    switch (preview.kind()) {
      case v1::PREVIEW_KIND_UNSPECIFIED:
      case v1::PREVIEW_KIND_X0_HAT:
        result_.preview.content = PreviewContent::kX0Hat;
        break;
      case v1::PREVIEW_KIND_X_T:
        result_.preview.content = PreviewContent::kXt;
        break;
      case v1::PREVIEW_KIND_BOTH:
        result_.preview.content = PreviewContent::kBoth;
        break;
      default:
        violations_.Add("preview.kind", absl::StrCat(static_cast<int>(preview.kind()),
                                                     " is not a PreviewKind: X_T, X0_HAT or BOTH"));
    }
    if (preview.every_steps() == 0) {
      if (!v1::ImageFormat_IsValid(preview.format())) {
        ResolveFormat("preview.format", preview.format(), /*allow_raw=*/false);
      }
      return;
    }
    const uint32_t steps = static_cast<uint32_t>(result_.sampling.steps);
    if (preview.every_steps() > steps) {
      violations_.Add("preview.every_steps", absl::StrCat(preview.every_steps(), " is not in 0 .. ",
                                                          steps, ", the number of steps"));
      return;
    }
    result_.preview.every_steps = static_cast<int>(preview.every_steps());
    result_.preview.encode.encoding =
        ResolveFormat("preview.format", preview.format(), /*allow_raw=*/false);
    result_.preview.encode.max_side =
        static_cast<int>(std::min<uint32_t>(preview.max_side(), std::numeric_limits<int>::max()));
  }

  const v1::GenerateRequest& request_;
  const RequestLimits& limits_;
  const PreviewSupport previews_;
  const Sampler* sampler_ = nullptr;
  FieldViolations violations_;
  GenerationRequest result_;
};

}  // namespace

absl::StatusOr<GenerationRequest> ParseGenerateRequest(const v1::GenerateRequest& request,
                                                       const ModelCatalog& catalog,
                                                       const RequestLimits& limits,
                                                       PreviewSupport previews,
                                                       uint64_t seed_if_absent) {
  ASSIGN_OR_RETURN(std::shared_ptr<const ServedModel> model,
                   RequestedModel(catalog, request.model(), request.model_digest()));
  return Resolver(request, std::move(model), limits, previews).Resolve(seed_if_absent);
}

size_t AnswerBytes(const GenerationRequest& request) {
  constexpr size_t kBesidePixels = 1024;  // Of an image: its file's head, its event.
  const ServedModel& model = *request.model;
  const size_t values = static_cast<size_t>(model.width) * static_cast<size_t>(model.height) *
                        static_cast<size_t>(model.channels);
  size_t image = values + kBesidePixels;
  if (request.encoding == ImageEncoding::kRawFloat32) image += values * (sizeof(float) - 1);
  if (request.preview.every_steps > 0) {
    image += values * (request.preview.content == PreviewContent::kBoth ? 2 : 1);
  }
  return image * static_cast<size_t>(request.count);
}

absl::StatusOr<GenerationSpec> MakeGenerationSpec(GenerationRequest& request, const Caller& caller,
                                                  MemoryBudget& budget) {
  const size_t start_bytes = BytesOf(request.start), answer_bytes = AnswerBytes(request);
  RETURN_IF_ERROR(budget.CheckFits(start_bytes + answer_bytes));
  ASSIGN_OR_RETURN(request.memory, budget.Take(caller.address, start_bytes));
  ASSIGN_OR_RETURN(request.answer, budget.Take(caller.address, answer_bytes));
  absl::StatusOr<std::shared_ptr<const SamplingPlan>> plan =
      request.model->plans->Borrow(request.sampling, budget, caller.address);
  if (!plan.ok()) {
    if (!absl::IsInvalidArgument(plan.status())) return plan.status();
    FieldViolations violations;
    violations.Add("sampling", plan.status().message());
    return violations.ToStatus();
  }
  GenerationSpec spec;
  spec.model = request.model->engine_key();
  spec.tenant = caller.tenant;
  spec.address = caller.address;
  spec.priority = request.priority;
  spec.preview_every_steps = request.preview.every_steps;
  spec.preview_content =
      request.preview.every_steps > 0 ? request.preview.content : PreviewContent::kNone;
  spec.deadline = caller.deadline;
  for (int i = 0; i < request.count; ++i) {
    TrajectorySpec& trajectory = spec.trajectories.emplace_back();
    trajectory.plan = *plan;
    trajectory.seed = request.seed;
    // The images of a morph differ in where they start, and in nothing else.
    trajectory.image_index = request.start.morph_seed.has_value()
                                 ? 0
                                 : request.first_image_index + static_cast<uint32_t>(i);
    trajectory.start = StartOf(request.start, i, request.count);
    trajectory.class_id = request.class_id;
    trajectory.guidance = request.guidance;
  }
  return spec;
}

}  // namespace diffusiond
