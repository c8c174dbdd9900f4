// Each fault of a request, by the field, the value and the range that its error names.
#include <functional>
#include <limits>
#include <ostream>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/rpc/field_violations.h"
#include "server/rpc/generation_request.h"
#include "server/rpc/status_mapping.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

absl::StatusOr<GenerationRequest> Parse(const v1::GenerateRequest& request, ServedModel model) {
  ModelCatalog catalog;
  catalog.Put(std::move(model));
  return ParseGenerateRequest(request, catalog, {.max_count = 8}, PreviewSupport::kAllowed, 77);
}

ServedModel ModelWithoutNullClass() {
  ServedModel model = TestModel();
  model.null_class_id.reset();
  return model;
}

ServedModel ModelWithoutClasses() {
  ServedModel model = ModelWithoutNullClass();
  model.class_names.clear();
  return model;
}

ServedModel ModelWithClassifier() {
  ServedModel model = TestModel();
  model.has_classifier = true;
  return model;
}

// Whose classes are the classifier's alone.
ServedModel UnconditionalModelWithClassifier() {
  ServedModel model = ModelWithoutNullClass();
  model.is_conditional = false;
  model.has_classifier = true;
  return model;
}

struct Fault {
  const char* name;
  std::function<void(v1::GenerateRequest&)> make;
  const char* field;
  const char* text;
  std::function<ServedModel()> model = [] { return TestModel(); };
};

std::ostream& operator<<(std::ostream& out, const Fault& fault) { return out << fault.name; }

class GenerationRequestFault : public ::testing::TestWithParam<Fault> {};

TEST_P(GenerationRequestFault, NamesFieldValueAndRange) {
  v1::GenerateRequest request;
  GetParam().make(request);
  const auto parsed = Parse(request, GetParam().model());
  ASSERT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
  const auto details = BadRequestOf(ToGrpcStatus(parsed.status()));
  ASSERT_EQ(details.field_violations_size(), 1) << details.DebugString();
  EXPECT_EQ(details.field_violations(0).field(), GetParam().field);
  EXPECT_THAT(details.field_violations(0).description(), HasSubstr(GetParam().text));
  EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(GetParam().text));
}

using R = v1::GenerateRequest;

INSTANTIATE_TEST_SUITE_P(
    FirstImage, GenerationRequestFault,
    ::testing::Values(
        Fault{"BeyondTheLast", [](R& r) { r.set_count(3), r.set_first_image_index(4294967294u); },
              "first_image_index", "4294967294 is not in 0 .. 4294967293"},
        Fault{"OfAMorph",
              [](R& r) { r.set_count(2), r.set_morph_seed(3), r.set_first_image_index(1); },
              "first_image_index", "unset morph_seed"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Count, GenerationRequestFault,
    ::testing::Values(Fault{"Zero", [](R& r) { r.set_count(0); }, "count", "0 is not in 1 .. 8"},
                      Fault{"PastTheLimit", [](R& r) { r.set_count(9); }, "count",
                            "9 is not in 1 .. 8"},
                      Fault{"Huge", [](R& r) { r.set_count(4294967295u); }, "count", "4294967295"}),
    ::testing::PrintToStringParamName());

INSTANTIATE_TEST_SUITE_P(
    Class, GenerationRequestFault,
    ::testing::Values(Fault{"IdPastTheLast", [](R& r) { r.set_class_id(3); }, "class_id",
                            "3 is not in 0 .. 2"},
                      Fault{"UnknownName", [](R& r) { r.set_class_name("sneeker"); }, "class_name",
                            "did you mean \"Sneaker\"?"},
                      Fault{"EmptyName", [](R& r) { r.set_class_name(""); }, "class_name",
                            "there are: T-shirt, Trouser, Sneaker"},
                      Fault{"NameWhereClassesHaveNone", [](R& r) { r.set_class_name("sneaker"); },
                            "class_name", "have no names, use class_id 0 .. 2",
                            [] {
                              ServedModel model = TestModel();
                              model.class_names = {"", "", ""};
                              return model;
                            }},
                      Fault{"NullClassByItsId", [](R& r) { r.set_class_id(1); }, "class_id",
                            "1 is the null class",
                            [] {
                              ServedModel model = TestModel();
                              model.null_class_id = 1;
                              return model;
                            }},
                      Fault{"NoClasses", [](R& r) { r.set_class_id(0); }, "class_id",
                            "has no classes", ModelWithoutClasses},
                      Fault{"UnsetWithoutNullClass", [](R&) {}, "class_id", "choose 0 .. 2",
                            ModelWithoutNullClass}),
    ::testing::PrintToStringParamName());

INSTANTIATE_TEST_SUITE_P(
    Guidance, GenerationRequestFault,
    ::testing::Values(
        Fault{"Negative",
              [](R& r) { r.set_class_id(0), r.mutable_sampling()->set_guidance_scale(-0.5f); },
              "sampling.guidance_scale", "-0.5 is not in 0 .. 50"},
        Fault{"TooLarge",
              [](R& r) { r.set_class_id(0), r.mutable_sampling()->set_guidance_scale(50.5f); },
              "sampling.guidance_scale", "50.5 is not in 0 .. 50"},
        Fault{"NaN",
              [](R& r) { r.set_class_id(0), r.mutable_sampling()->set_guidance_scale(kNaN); },
              "sampling.guidance_scale", "nan is not in"},
        Fault{"Infinite",
              [](R& r) { r.set_class_id(0), r.mutable_sampling()->set_guidance_scale(kInfinity); },
              "sampling.guidance_scale", "inf is not in"},
        Fault{"WithoutClass", [](R& r) { r.mutable_sampling()->set_guidance_scale(2); },
              "sampling.guidance_scale", "2 needs class_id or class_name"},
        Fault{"NegativeSigma",
              [](R& r) {
                r.set_class_id(0), r.mutable_sampling()->set_guidance_scale(2),
                    r.mutable_sampling()->set_guidance_sigma_min(-1);
              },
              "sampling.guidance_sigma_min", "-1 is not in 0 .. inf"},
        Fault{"NaNSigma",
              [](R& r) {
                r.set_class_id(0), r.mutable_sampling()->set_guidance_scale(2),
                    r.mutable_sampling()->set_guidance_sigma_max(kNaN);
              },
              "sampling.guidance_sigma_max", "nan is not in 0 .. inf"},
        Fault{"EmptyInterval",
              [](R& r) {
                r.set_class_id(0), r.mutable_sampling()->set_guidance_scale(2),
                    r.mutable_sampling()->set_guidance_sigma_min(3),
                    r.mutable_sampling()->set_guidance_sigma_max(2);
              },
              "sampling.guidance_sigma_max", "2 is below guidance_sigma_min, which is 3"},
        Fault{"RescaleTooLarge",
              [](R& r) {
                r.set_class_id(0), r.mutable_sampling()->set_guidance_scale(2),
                    r.mutable_sampling()->set_guidance_rescale(1.5f);
              },
              "sampling.guidance_rescale", "1.5 is not in 0 .. 1"},
        Fault{"IntervalWithoutGuidance",
              [](R& r) {
                r.set_class_id(0), r.mutable_sampling()->set_guidance_scale(1),
                    r.mutable_sampling()->set_guidance_sigma_max(2);
              },
              "sampling.guidance_sigma_max", "2 has no effect without guidance"},
        Fault{"WithoutNullClass",
              [](R& r) { r.set_class_id(0), r.mutable_sampling()->set_guidance_scale(2); },
              "sampling.guidance_scale", "needs a model with a null class", ModelWithoutNullClass}),
    ::testing::PrintToStringParamName());

INSTANTIATE_TEST_SUITE_P(
    ClassifierGuidance, GenerationRequestFault,
    ::testing::Values(
        Fault{"WithoutClassifier",
              [](R& r) { r.set_class_id(0), r.mutable_sampling()->set_classifier_scale(2); },
              "sampling.classifier_scale", "2 needs a model with a classifier; without, only 0"},
        Fault{"WithoutClass", [](R& r) { r.mutable_sampling()->set_classifier_scale(2); },
              "sampling.classifier_scale", "2 needs class_id or class_name", ModelWithClassifier},
        Fault{"Negative",
              [](R& r) { r.set_class_id(0), r.mutable_sampling()->set_classifier_scale(-1); },
              "sampling.classifier_scale", "-1 is not in 0 .. 50", ModelWithClassifier},
        Fault{"NaN",
              [](R& r) { r.set_class_id(0), r.mutable_sampling()->set_classifier_scale(kNaN); },
              "sampling.classifier_scale", "nan is not in 0 .. 50", ModelWithClassifier},
        Fault{"OfNoEffect",
              [](R& r) { r.set_class_id(0), r.mutable_sampling()->set_classifier_scale(0); },
              "sampling.classifier_scale", "0 leaves the class without effect",
              UnconditionalModelWithClassifier},
        Fault{"NoNullClass",
              [](R& r) { r.set_class_id(0), r.mutable_sampling()->set_guidance_scale(2); },
              "sampling.guidance_scale", "needs a model with a null class",
              UnconditionalModelWithClassifier},
        Fault{"RescaleIsOfClassifierFreeGuidance",
              [](R& r) {
                r.set_class_id(0), r.mutable_sampling()->set_guidance_scale(1),
                    r.mutable_sampling()->set_classifier_scale(2),
                    r.mutable_sampling()->set_guidance_rescale(0.5f);
              },
              "sampling.guidance_rescale", "0.5 has no effect without guidance",
              ModelWithClassifier},
        Fault{"ClassPastTheLast", [](R& r) { r.set_class_id(3); }, "class_id", "3 is not in 0 .. 2",
              UnconditionalModelWithClassifier}),
    ::testing::PrintToStringParamName());

INSTANTIATE_TEST_SUITE_P(
    Sampling, GenerationRequestFault,
    ::testing::Values(
        Fault{"UnknownSampler", [](R& r) { r.mutable_sampling()->set_sampler("dddim"); },
              "sampling.sampler",
              "did you mean \"ddim\"? there are: annealed_langevin, ddim, ddpm, deis, dpmpp"},
        Fault{"SamplerThatNeedsBetas", [](R& r) { r.mutable_sampling()->set_sampler("unipc"); },
              "sampling.sampler",
              "\"unipc\" does not draw from a model of EDM, which has no betas; there are: ann",
              [] {
                ServedModel model = TestModel();
                model.scheduler = SchedulerDefaults("EDMEulerScheduler");
                return model;
              }},
        Fault{"ZeroSteps", [](R& r) { r.mutable_sampling()->set_steps(0); }, "sampling.steps",
              "0 is not in 1 .. 20"},
        Fault{"TooManySteps", [](R& r) { r.mutable_sampling()->set_steps(21); }, "sampling.steps",
              "21 is not in 1 .. 20"},
        Fault{"EtaTooLarge", [](R& r) { r.mutable_sampling()->set_eta(1.5f); }, "sampling.eta",
              "1.5 is not in 0 .. 1"},
        Fault{"EtaNegative", [](R& r) { r.mutable_sampling()->set_eta(-1); }, "sampling.eta",
              "-1 is not in 0 .. 1"},
        Fault{"EtaNaN", [](R& r) { r.mutable_sampling()->set_eta(kNaN); }, "sampling.eta",
              "nan is not in 0 .. 1"},
        Fault{"EtaForDdpm",
              [](R& r) {
                r.mutable_sampling()->set_sampler("ddpm"), r.mutable_sampling()->set_eta(0);
              },
              "sampling.eta", "no effect on sampler ddpm; read by: ddim"},
        Fault{"VarianceForDdim", [](R& r) { r.mutable_sampling()->set_variance("zero"); },
              "sampling.variance", "no effect on sampler ddim; read by: ddpm"},
        Fault{"UnknownVariance",
              [](R& r) {
                r.mutable_sampling()->set_sampler("ddpm"),
                    r.mutable_sampling()->set_variance("fixed");
              },
              "sampling.variance",
              "\"fixed\" is not one of fixed_small, fixed_small_log, fixed_large, zero, "
              "learned"},
        Fault{"UnknownSpacing",
              [](R& r) { r.mutable_sampling()->set_timestep_spacing("logarithmic"); },
              "sampling.timestep_spacing", "is not one of leading, trailing, linspace"}),
    ::testing::PrintToStringParamName());

INSTANTIATE_TEST_SUITE_P(
    Formats, GenerationRequestFault,
    ::testing::Values(
        Fault{"UnknownFormat", [](R& r) { r.set_format(static_cast<v1::ImageFormat>(99)); },
              "format", "99 is not an ImageFormat"},
        Fault{"PreviewOftenerThanSteps", [](R& r) { r.mutable_preview()->set_every_steps(6); },
              "preview.every_steps", "6 is not in 0 .. 5"},
        Fault{"UnknownPreviewKind",
              [](R& r) { r.mutable_preview()->set_kind(static_cast<v1::PreviewKind>(-1)); },
              "preview.kind", "-1 is not a PreviewKind"},
        Fault{"RawPreview",
              [](R& r) {
                r.mutable_preview()->set_every_steps(1);
                r.mutable_preview()->set_format(v1::IMAGE_FORMAT_RAW_FLOAT32);
              },
              "preview.format", "RAW_FLOAT32 is not allowed"},
        Fault{"FilesOfTwoChannels", [](R&) {}, "format", "cannot carry the 2 channels",
              [] {
                ServedModel model = TestModel();
                model.channels = 2;
                return model;
              }}),
    ::testing::PrintToStringParamName());

}  // namespace
}  // namespace diffusiond
