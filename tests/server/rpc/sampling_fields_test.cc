#include "server/rpc/sampling_fields.h"

#include <functional>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "gtest/gtest.h"
#include "model/imaging/png.h"
#include "server/rpc/generation_request.h"
#include "server/rpc/proto_conversion.h"
#include "server/rpc/status_mapping.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<GenerationRequest> Parse(const v1::GenerateRequest& request) {
  ModelCatalog catalog;
  catalog.Put(TestModel());
  return ParseGenerateRequest(request, catalog, {.max_count = 8}, PreviewSupport::kAllowed, 77);
}

// A field of the message that no table has would be dropped in silence; an option without a field
// could not be asked for.
TEST(SamplingFields, EachFieldIsAnOptionAndEachOptionAField) {
  std::map<std::string, OptionKind> options;
  for (const OptionSpec& option : kSamplingOptions) options[std::string(option.name)] = option.kind;
  for (const OptionSpec& option : kGuidanceOptions) options[std::string(option.name)] = option.kind;
  const auto& message = *v1::SamplingOptions::descriptor();
  EXPECT_EQ(static_cast<size_t>(message.field_count()), options.size());
  using google::protobuf::FieldDescriptor;
  const std::map<FieldDescriptor::CppType, OptionKind> kinds = {
      {FieldDescriptor::CPPTYPE_BOOL, OptionKind::kSwitch},
      {FieldDescriptor::CPPTYPE_UINT32, OptionKind::kInteger},
      {FieldDescriptor::CPPTYPE_FLOAT, OptionKind::kNumber},
      {FieldDescriptor::CPPTYPE_STRING, OptionKind::kWord}};
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    ASSERT_TRUE(options.contains(field.name())) << field.name();
    EXPECT_EQ(kinds.at(field.cpp_type()), options.at(field.name())) << field.name();
    EXPECT_TRUE(field.has_presence()) << field.name();
  }
}

TEST(SamplingFields, EverySamplersOptionsReplayFromTheReceipt) {
  for (const Sampler& sampler : Samplers()) {
    SCOPED_TRACE(sampler.name);
    v1::GenerateRequest request;
    request.mutable_sampling()->set_sampler(sampler.name);
    const auto parsed = Parse(request);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    const v1::ResolvedParameters parameters = ToProto(*parsed);
    v1::GenerateRequest replay;
    *replay.mutable_sampling() = parameters.sampling();
    for (const std::string& option : sampler.options) {
      const auto* const field = parameters.sampling().GetDescriptor()->FindFieldByName(option);
      ASSERT_NE(field, nullptr) << option;
      EXPECT_TRUE(parameters.sampling().GetReflection()->HasField(parameters.sampling(), field))
          << option;
    }
    const auto again = Parse(replay);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->sampling, parsed->sampling);
  }
}

TEST(SamplingFields, SolverOptionsAreTaken) {
  v1::GenerateRequest request;
  request.mutable_sampling()->set_sampler("dpmpp");
  request.mutable_sampling()->set_sigma_schedule("karras");
  request.mutable_sampling()->set_solver_order(3);
  request.mutable_sampling()->set_solver_type("heun");
  request.mutable_sampling()->set_algorithm_type("sde-dpmsolver++");
  request.mutable_sampling()->set_lower_order_final(false);
  request.mutable_sampling()->set_euler_at_final(true);
  request.mutable_sampling()->set_thresholding(true);
  request.mutable_sampling()->set_dynamic_thresholding_ratio(0.75f);
  request.mutable_sampling()->set_sample_max_value(1.5f);
  const auto parsed = Parse(request);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->sampling.sigma_schedule, SigmaSchedule::kKarras);
  EXPECT_EQ(parsed->sampling.solver_order, 3);
  EXPECT_EQ(parsed->sampling.solver_type, SolverType::kHeun);
  EXPECT_EQ(parsed->sampling.algorithm_type, DpmAlgorithm::kSde);
  EXPECT_FALSE(parsed->sampling.lower_order_final);
  EXPECT_TRUE(parsed->sampling.euler_at_final);
  EXPECT_TRUE(parsed->sampling.thresholding);
  EXPECT_EQ(parsed->sampling.dynamic_thresholding_ratio, 0.75);
  EXPECT_EQ(parsed->sampling.sample_max_value, 1.5);
  const v1::ResolvedParameters parameters = ToProto(*parsed);
  EXPECT_EQ(parameters.sampling().solver_order(), 3u);
  EXPECT_EQ(parameters.sampling().solver_type(), "heun");
  EXPECT_TRUE(parameters.sampling().euler_at_final());
}

TEST(SamplingFields, ASamplersFirstSolverTypeIsItsDefault) {
  for (const auto& [sampler, solver] :
       {std::pair("dpmpp", SolverType::kMidpoint), std::pair("unipc", SolverType::kBh2),
        std::pair("euler", SolverType::kSamplersOwn),
        std::pair("probability_flow", SolverType::kHeun)}) {
    v1::GenerateRequest request;
    request.mutable_sampling()->set_sampler(sampler);
    EXPECT_EQ(Parse(request)->sampling.solver_type, solver);
  }
}

TEST(SamplingFields, LangevinStepsDefaultToTheSamplersOwn) {
  for (const auto& [sampler, langevin_steps] :
       {std::pair("annealed_langevin", 10u), std::pair("predictor_corrector", 1u)}) {
    v1::GenerateRequest request;
    request.mutable_sampling()->set_sampler(sampler);
    request.mutable_sampling()->set_steps(20);
    EXPECT_EQ(ToProto(*Parse(request)).sampling().langevin_steps(), langevin_steps);
    request.mutable_sampling()->set_langevin_steps(7);
    EXPECT_EQ(ToProto(*Parse(request)).sampling().langevin_steps(), 7u);
  }
}

struct Fault {
  const char* name;
  std::function<void(v1::GenerateRequest&)> make;
  const char* field;
  const char* text;
};

std::ostream& operator<<(std::ostream& out, const Fault& fault) { return out << fault.name; }

class SamplingFieldsFault : public ::testing::TestWithParam<Fault> {};

TEST_P(SamplingFieldsFault, NamesTheFieldTheValueAndWhatIsAllowed) {
  v1::GenerateRequest request;
  GetParam().make(request);
  const absl::Status status = Parse(request).status();
  const google::rpc::BadRequest details = BadRequestOf(ToGrpcStatus(status));
  ASSERT_EQ(details.field_violations_size(), 1) << status;
  EXPECT_EQ(details.field_violations(0).field(), GetParam().field);
  EXPECT_THAT(details.field_violations(0).description(), HasSubstr(GetParam().text));
}

using R = v1::GenerateRequest;

// Of TestModel's size.
std::string SmallPng() {
  return *EncodePng({.width = 2, .height = 2, .channels = 1, .pixels = {0, 51, 204, 255}});
}
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

INSTANTIATE_TEST_SUITE_P(
    Options, SamplingFieldsFault,
    ::testing::Values(
        Fault{"StrengthZero",
              [](R& r) {
                r.set_init_image(SmallPng());
                r.mutable_sampling()->set_strength(0);
              },
              "sampling.strength", "0 is not in 0 .. 1, the first excluded"},
        Fault{"StrengthNaN",
              [](R& r) {
                r.set_init_image(SmallPng());
                r.mutable_sampling()->set_strength(kNaN);
              },
              "sampling.strength", "nan is not in 0 .. 1"},
        Fault{"OrderZero",
              [](R& r) {
                r.mutable_sampling()->set_sampler("dpmpp"),
                    r.mutable_sampling()->set_solver_order(0);
              },
              "sampling.solver_order", "0 is not in 1 .. 3"},
        Fault{"OrderForHeun",
              [](R& r) {
                r.mutable_sampling()->set_sampler("heun"),
                    r.mutable_sampling()->set_solver_order(2);
              },
              "sampling.solver_order", "no effect on sampler heun; read by: deis, dpmpp, unipc"},
        Fault{"AnothersSolverType",
              [](R& r) {
                r.mutable_sampling()->set_sampler("dpmpp"),
                    r.mutable_sampling()->set_solver_type("bh1");
              },
              "sampling.solver_type", "\"bh1\" is not one of midpoint, heun"},
        Fault{"SolverTypeForEuler",
              [](R& r) {
                r.mutable_sampling()->set_sampler("euler"),
                    r.mutable_sampling()->set_solver_type("bh1");
              },
              "sampling.solver_type",
              "no effect on sampler euler; read by: dpmpp, probability_flow, unipc"},
        Fault{"UnknownSigmas",
              [](R& r) {
                r.mutable_sampling()->set_sampler("lms"),
                    r.mutable_sampling()->set_sigma_schedule("carras");
              },
              "sampling.sigma_schedule", "\"carras\" is not one of timesteps, karras, exponential"},
        Fault{"ChurnNaN",
              [](R& r) {
                r.mutable_sampling()->set_sampler("euler"), r.mutable_sampling()->set_s_churn(kNaN);
              },
              "sampling.s_churn", "nan is not in 0 .. "},
        Fault{"LangevinForDdpm",
              [](R& r) {
                r.mutable_sampling()->set_sampler("ddpm"),
                    r.mutable_sampling()->set_langevin_steps(2);
              },
              "sampling.langevin_steps",
              "2 has no effect on sampler ddpm; read by: annealed_langevin, predictor_corrector"},
        Fault{"LangevinStepOfNoSize",
              [](R& r) {
                r.mutable_sampling()->set_sampler("annealed_langevin"),
                    r.mutable_sampling()->set_langevin_step_size(0);
              },
              "sampling.langevin_step_size", "0 is not in 0 .. 2, the first excluded"},
        Fault{"QuantileZero", [](R& r) { r.mutable_sampling()->set_dynamic_thresholding_ratio(0); },
              "sampling.dynamic_thresholding_ratio", "0 is not in 0 .. 1, the first excluded"},
        Fault{"SkipForEuler",
              [](R& r) {
                r.mutable_sampling()->set_sampler("euler"),
                    r.mutable_sampling()->set_skip_prk_steps(true);
              },
              "sampling.skip_prk_steps", "true has no effect on sampler euler; read by: pndm"}),
    ::testing::PrintToStringParamName());

}  // namespace
}  // namespace diffusiond
