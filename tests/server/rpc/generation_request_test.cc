#include "server/rpc/generation_request.h"

#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/rpc/field_violations.h"
#include "server/rpc/proto_conversion.h"
#include "server/rpc/status_mapping.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr uint64_t kDrawnSeed = 77;

absl::StatusOr<GenerationRequest> Parse(const v1::GenerateRequest& request,
                                        ServedModel model = TestModel(),
                                        PreviewSupport previews = PreviewSupport::kAllowed) {
  ModelCatalog catalog;
  catalog.Put(std::move(model));
  return ParseGenerateRequest(request, catalog, {.max_count = 8}, previews, kDrawnSeed);
}

std::vector<std::string> ViolatedFields(const absl::Status& status) {
  std::vector<std::string> fields;
  const google::rpc::BadRequest details = BadRequestOf(ToGrpcStatus(status));
  for (const auto& violation : details.field_violations()) {
    fields.push_back(violation.field());
  }
  return fields;
}

TEST(GenerationRequest, AClassifierIsAskedOnlyWhereItIsWanted) {
  ServedModel conditional = TestModel(), unconditional = TestModel();
  conditional.has_classifier = unconditional.has_classifier = true;
  unconditional.is_conditional = false;
  unconditional.null_class_id.reset();
  v1::GenerateRequest request;
  EXPECT_EQ(Parse(request, conditional)->guidance.classifier_scale, 0);
  EXPECT_EQ(Parse(request, unconditional)->guidance.classifier_scale, 0) << "of no class";
  request.set_class_id(1);
  EXPECT_EQ(Parse(request, conditional)->guidance.classifier_scale, 0);
  EXPECT_EQ(Parse(request, unconditional)->guidance.classifier_scale, 1) << "the only way";
  request.mutable_sampling()->set_classifier_scale(2.5f);
  request.mutable_sampling()->set_guidance_sigma_max(3);
  for (const ServedModel& model : {conditional, unconditional}) {
    const auto parsed = Parse(request, model);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->class_id, 1);
    EXPECT_EQ(parsed->guidance.classifier_scale, 2.5);
    EXPECT_EQ(parsed->guidance.sigma_max, 3);
    EXPECT_EQ(ToProto(*parsed).sampling().classifier_scale(), 2.5f);
  }
  EXPECT_FALSE(ToProto(*Parse({}, conditional)).sampling().has_classifier_scale());
  const v1::Model shown = ToProto(unconditional, RequestLimits());
  EXPECT_TRUE(shown.has_classifier());
  EXPECT_FALSE(shown.needs_class());
}

TEST(GenerationRequest, UnsetFieldsTakeTheModelsDefaults) {
  const auto parsed = Parse({});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->model->name, "clothes");
  EXPECT_EQ(parsed->count, 1);
  EXPECT_EQ(parsed->seed, kDrawnSeed);
  EXPECT_EQ(parsed->class_id, std::nullopt);
  EXPECT_EQ(parsed->guidance.scale, 1) << "guidance needs a class";
  EXPECT_EQ(parsed->sampling.sampler, "ddim");
  EXPECT_EQ(parsed->sampling.steps, 5);
  EXPECT_EQ(parsed->sampling.timestep_spacing, TimestepSpacing::kLeading);
  EXPECT_TRUE(parsed->sampling.clip_sample);
  EXPECT_EQ(parsed->preview.every_steps, 0);
  EXPECT_EQ(parsed->encoding, ImageEncoding::kPng);
}

// The model's 5 steps are made for its own sampler.
TEST(GenerationRequest, ASamplerThatNeedsMoreStepsTakesThemUnlessTold) {
  ServedModel model = TestModel();
  model.scheduler.num_train_timesteps = 1000;
  const auto steps = [&model](const std::string& sampler, std::optional<uint32_t> asked) {
    v1::GenerateRequest request;
    request.mutable_sampling()->set_sampler(sampler);
    if (asked.has_value()) request.mutable_sampling()->set_steps(*asked);
    const auto parsed = Parse(request, model);
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    return parsed.ok() ? parsed->sampling.steps : -1;
  };
  EXPECT_EQ(steps("ddim", std::nullopt), 5);
  EXPECT_EQ(steps("unipc", std::nullopt), 5);
  EXPECT_EQ(steps("reverse_sde", std::nullopt), 100);
  EXPECT_EQ(steps("reverse_sde", 7), 7);
  model.scheduler.num_train_timesteps = 80;
  EXPECT_EQ(steps("reverse_sde", std::nullopt), 80) << "there are no more";
}

TEST(GenerationRequest, SetFieldsAreTaken) {
  v1::GenerateRequest request;
  request.set_model("clothes");
  request.set_count(8);
  request.set_seed(0);
  request.set_class_id(1);
  request.mutable_sampling()->set_guidance_scale(1.5f);
  request.mutable_sampling()->set_guidance_sigma_min(0.25f);
  request.mutable_sampling()->set_guidance_sigma_max(kInfinity);
  request.mutable_sampling()->set_guidance_rescale(0.5f);
  request.mutable_sampling()->set_sampler("ddpm");
  request.mutable_sampling()->set_steps(20);
  request.mutable_sampling()->set_variance("zero");
  request.mutable_sampling()->set_timestep_spacing("trailing");
  request.mutable_sampling()->set_clip_sample(false);
  request.set_format(v1::IMAGE_FORMAT_RAW_FLOAT32);
  request.mutable_preview()->set_every_steps(20);
  request.mutable_preview()->set_kind(v1::PREVIEW_KIND_BOTH);
  request.mutable_preview()->set_max_side(16);
  request.mutable_preview()->set_format(v1::IMAGE_FORMAT_JPEG);
  const auto parsed = Parse(request);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->count, 8);
  EXPECT_EQ(parsed->seed, 0u);
  EXPECT_EQ(parsed->class_id, 1);
  EXPECT_EQ(parsed->guidance.scale, 1.5);
  EXPECT_EQ(parsed->guidance.sigma_min, 0.25);
  EXPECT_EQ(parsed->guidance.sigma_max, kInfinity);
  EXPECT_EQ(parsed->guidance.rescale, 0.5);
  EXPECT_EQ(parsed->sampling.sampler, "ddpm");
  EXPECT_EQ(parsed->sampling.steps, 20);
  EXPECT_EQ(parsed->sampling.variance, Variance::kZero);
  EXPECT_EQ(parsed->sampling.timestep_spacing, TimestepSpacing::kTrailing);
  EXPECT_FALSE(parsed->sampling.clip_sample);
  EXPECT_EQ(parsed->encoding, ImageEncoding::kRawFloat32);
  EXPECT_EQ(parsed->preview.every_steps, 20);
  EXPECT_EQ(parsed->preview.content, PreviewContent::kBoth);
  EXPECT_EQ(parsed->preview.encode.max_side, 16);
  EXPECT_EQ(parsed->preview.encode.encoding, ImageEncoding::kJpeg);
}

TEST(GenerationRequest, ClassNamesIgnoreCaseAndBringTheDefaultGuidance) {
  for (const char* name : {"Sneaker", "sneaker", "SNEAKER"}) {
    v1::GenerateRequest request;
    request.set_class_name(name);
    const auto parsed = Parse(request);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->class_id, 2);
    EXPECT_EQ(parsed->guidance.scale, 2);
  }
}

TEST(GenerationRequest, DefaultsAreRoundedToWhatAReceiptCanCarry) {
  ServedModel model = TestModel();
  model.defaults.guidance_scale = 1.7;
  model.defaults.sampling.eta = 0.3;
  v1::GenerateRequest request;
  request.set_class_id(0);
  const auto parsed = Parse(request, model);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->guidance.scale, static_cast<double>(1.7f));
  EXPECT_EQ(parsed->sampling.eta, static_cast<double>(0.3f));
}

TEST(GenerationRequest, OptionsThatTheSamplerDoesNotReadDoNotSplitPlans) {
  ServedModel model = TestModel();
  model.defaults.sampling.eta = 0.5;
  v1::GenerateRequest request;
  request.mutable_sampling()->set_sampler("ddpm");
  const auto parsed = Parse(request, model);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->sampling.eta, 0);
  const v1::ResolvedParameters parameters = ToProto(*parsed);
  EXPECT_EQ(parameters.sampling().eta(), 0);
  EXPECT_EQ(parameters.sampling().variance(), "fixed_small");
}

TEST(GenerationRequest, AllFaultsAreNamedAtOnce) {
  v1::GenerateRequest request;
  request.set_count(1000);
  request.set_class_name("spoon");
  request.mutable_sampling()->set_guidance_scale(kNaN);
  request.mutable_sampling()->set_sampler("eulr");
  request.mutable_sampling()->set_steps(100000);
  request.mutable_sampling()->set_eta(7);
  request.mutable_sampling()->set_variance("huge");
  request.mutable_sampling()->set_timestep_spacing("random");
  request.mutable_sampling()->set_sigma_schedule("random");
  request.mutable_sampling()->set_solver_order(0);
  request.mutable_sampling()->set_s_noise(kNaN);
  request.mutable_sampling()->set_sample_max_value(0.5f);
  request.set_format(static_cast<v1::ImageFormat>(99));
  request.mutable_preview()->set_every_steps(4000000000u);
  request.mutable_preview()->set_kind(static_cast<v1::PreviewKind>(99));
  const auto parsed = Parse(request);
  EXPECT_THAT(
      ViolatedFields(parsed.status()),
      UnorderedElementsAre("count", "class_name", "sampling.guidance_scale", "sampling.sampler",
                           "sampling.steps", "sampling.eta", "sampling.variance",
                           "sampling.timestep_spacing", "sampling.sigma_schedule",
                           "sampling.solver_order", "sampling.s_noise", "sampling.sample_max_value",
                           "format", "preview.every_steps", "preview.kind"));
}

TEST(GenerationRequest, ErrorsStayWithinHttp2TrailersWhateverTheRequestHolds) {
  const std::string long_text(30000, '\x01');
  v1::GenerateRequest request;
  request.set_count(1000);
  request.set_class_name(long_text);
  request.mutable_sampling()->set_guidance_scale(kNaN);
  request.mutable_sampling()->set_sampler(long_text);
  request.mutable_sampling()->set_steps(100000);
  request.mutable_sampling()->set_eta(7);
  request.mutable_sampling()->set_variance(long_text);
  request.mutable_sampling()->set_timestep_spacing(long_text);
  request.set_format(static_cast<v1::ImageFormat>(99));
  request.mutable_preview()->set_every_steps(4000000000u);
  const grpc::Status status = ToGrpcStatus(Parse(request).status());
  // Base64 adds a third; the message is sent twice.
  EXPECT_LT(status.error_details().size() * 4 / 3 + status.error_message().size(), 7000u);
}

TEST(GenerationRequest, UnaryCallsRefusePreviewOptions) {
  v1::GenerateRequest request;
  request.mutable_preview();
  const auto parsed = Parse(request, TestModel(), PreviewSupport::kNotAllowed);
  EXPECT_THAT(ViolatedFields(parsed.status()), ElementsAre("preview"));
}

TEST(GenerationRequest, ModelsAreFoundByNameAndTheOnlyOneWithout) {
  ModelCatalog catalog;
  v1::GenerateRequest request;
  for (const char* name : {"", "cats"}) {
    request.set_model(name);
    const absl::Status none =
        ParseGenerateRequest(request, catalog, {}, PreviewSupport::kAllowed, 0).status();
    EXPECT_EQ(none.code(), absl::StatusCode::kUnavailable) << "another replica may have it";
    EXPECT_THAT(std::string(none.message()), HasSubstr("no model is loaded yet"));
  }
  request.clear_model();
  catalog.Put(TestModel("cats"));
  catalog.Put(TestModel("dogs"));
  const absl::Status ambiguous =
      ParseGenerateRequest(request, catalog, {}, PreviewSupport::kAllowed, 0).status();
  EXPECT_THAT(ViolatedFields(ambiguous), ElementsAre("model"));
  EXPECT_THAT(std::string(ambiguous.message()), HasSubstr("\"cats\", \"dogs\""));
  request.set_model("dogs");
  EXPECT_EQ(ParseGenerateRequest(request, catalog, {}, PreviewSupport::kAllowed, 0)->model->name,
            "dogs");
  request.set_model("birds");
  const absl::Status unknown =
      ParseGenerateRequest(request, catalog, {}, PreviewSupport::kAllowed, 0).status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("\"birds\", there are: \"cats\""));
  catalog.Remove("cats");
  request.clear_model();
  EXPECT_EQ(ParseGenerateRequest(request, catalog, {}, PreviewSupport::kAllowed, 0)->model->name,
            "dogs");
}

TEST(GenerationRequest, TheDefaultModelIsFoundWithoutANameAndNoOtherInItsPlace) {
  ModelCatalog catalog("dogs");
  const auto parsed = [&catalog] {
    return ParseGenerateRequest({}, catalog, {}, PreviewSupport::kAllowed, 0);
  };
  catalog.Put(TestModel("cats"));
  EXPECT_EQ(catalog.default_model(), "");
  EXPECT_EQ(parsed().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(parsed().status().message()),
              HasSubstr("the default model, \"dogs\", is not loaded; try later, or name one of: "
                        "\"cats\""));
  catalog.Put(TestModel("dogs"));
  EXPECT_EQ(catalog.default_model(), "dogs");
  EXPECT_EQ(parsed()->model->name, "dogs");
}

TEST(GenerationSpec, HasOneTrajectoryAnImageOnOneSharedPlan) {
  v1::GenerateRequest request;
  request.set_count(3);
  request.set_seed(9);
  request.set_class_id(1);
  request.mutable_preview()->set_every_steps(2);
  request.set_priority(v1::PRIORITY_LOW);
  auto parsed = Parse(request);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const absl::Time deadline = absl::FromUnixSeconds(5);
  MemoryBudget budget(1 << 20);
  const auto spec = MakeGenerationSpec(
      *parsed, {.tenant = "tenant", .address = "address", .deadline = deadline}, budget);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->model, "clothes");
  EXPECT_EQ(spec->preview_every_steps, 2);
  EXPECT_EQ(spec->preview_content, PreviewContent::kX0Hat);
  EXPECT_EQ(spec->deadline, deadline);
  EXPECT_EQ(spec->tenant, "tenant");
  EXPECT_EQ(spec->address, "address");
  EXPECT_EQ(spec->priority, Priority::kLow);
  ASSERT_EQ(spec->trajectories.size(), 3u);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(spec->trajectories[i].plan, spec->trajectories[0].plan);
    EXPECT_EQ(spec->trajectories[i].plan->steps, 5);
    EXPECT_EQ(spec->trajectories[i].seed, 9u);
    EXPECT_EQ(spec->trajectories[i].image_index, i);
    EXPECT_EQ(spec->trajectories[i].class_id, 1);
    EXPECT_EQ(spec->trajectories[i].guidance.scale, 2);
  }
}

TEST(AnswerBytes, AreOfImagesAndOfAPreviewOfEachKind) {
  v1::GenerateRequest request;
  request.set_count(3);
  const auto bytes = [&] { return AnswerBytes(*Parse(request)); };
  const size_t values = static_cast<size_t>(TestModel().width * TestModel().height) *
                        static_cast<size_t>(TestModel().channels);
  EXPECT_EQ(bytes(), 3 * (values + 1024));
  request.mutable_preview()->set_every_steps(1);
  EXPECT_EQ(bytes(), 3 * (2 * values + 1024));
  request.mutable_preview()->set_kind(v1::PREVIEW_KIND_BOTH);
  EXPECT_EQ(bytes(), 3 * (3 * values + 1024));
  request.set_format(v1::IMAGE_FORMAT_RAW_FLOAT32);
  EXPECT_EQ(bytes(), 3 * (6 * values + 1024));
}

// Refused for good, and not for now: neither start nor answer alone would be.
TEST(GenerationSpec, WhatNeverFitsTogetherIsAnInvalidArgument) {
  v1::GenerateRequest request;
  request.set_count(3);
  auto parsed = Parse(request);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const size_t answer = AnswerBytes(*parsed);
  parsed->start.image = std::make_shared<const std::vector<float>>(answer / sizeof(float));
  MemoryBudget budget(2 * answer);  // One may hold three quarters.
  const auto spec = MakeGenerationSpec(*parsed, {}, budget);
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(spec.status().message()), HasSubstr("--max_waiting_bytes"));
}

TEST(GenerationSpec, WhatTheCompilerRefusesIsABadRequest) {
  ServedModel model = TestModel();
  model.plans =
      std::make_shared<PlanCache>([](const SamplingOptions&) -> absl::StatusOr<SamplingPlan> {
        return absl::InvalidArgumentError("timestep 20 is outside 0 .. 19");
      });
  MemoryBudget budget(1 << 20);
  auto parsed = Parse({}, model);
  const auto spec = MakeGenerationSpec(*parsed, {}, budget);
  EXPECT_THAT(ViolatedFields(spec.status()), ElementsAre("sampling"));
  EXPECT_THAT(std::string(spec.status().message()), HasSubstr("outside 0 .. 19"));
}

}  // namespace
}  // namespace diffusiond
