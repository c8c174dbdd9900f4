#include "server/rpc/sampling_fields.h"

#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "gtest/gtest.h"
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

TEST(SamplingFields, EverySamplersOptionsReplayFromTheReceipt) {
  for (const Sampler& sampler : Samplers()) {
    SCOPED_TRACE(sampler.name);
    v1::GenerateRequest request;
    request.set_sampler(sampler.name);
    const auto parsed = Parse(request);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    const v1::ResolvedParameters parameters = ToProto(*parsed);
    // A replay sets every option that the sampler reads, by its name.
    v1::GenerateRequest replay;
    replay.set_sampler(parameters.sampler());
    for (const std::string& option : sampler.options) {
      const auto* from = parameters.GetDescriptor()->FindFieldByName(option);
      const auto* to = replay.GetDescriptor()->FindFieldByName(option);
      ASSERT_TRUE(from != nullptr && to != nullptr) << option;
      ASSERT_EQ(from->cpp_type(), to->cpp_type()) << option;
      switch (to->cpp_type()) {
        case google::protobuf::FieldDescriptor::CPPTYPE_BOOL:
          replay.GetReflection()->SetBool(&replay, to,
                                          parameters.GetReflection()->GetBool(parameters, from));
          break;
        case google::protobuf::FieldDescriptor::CPPTYPE_FLOAT:
          replay.GetReflection()->SetFloat(&replay, to,
                                           parameters.GetReflection()->GetFloat(parameters, from));
          break;
        case google::protobuf::FieldDescriptor::CPPTYPE_UINT32:
          replay.GetReflection()->SetUInt32(
              &replay, to, parameters.GetReflection()->GetUInt32(parameters, from));
          break;
        default:
          replay.GetReflection()->SetString(
              &replay, to, parameters.GetReflection()->GetString(parameters, from));
      }
    }
    const auto again = Parse(replay);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->sampling, parsed->sampling);
  }
}

TEST(SamplingFields, SolverOptionsAreTaken) {
  v1::GenerateRequest request;
  request.set_sampler("dpmpp");
  request.set_sigma_schedule("karras");
  request.set_solver_order(3);
  request.set_solver_type("heun");
  request.set_algorithm_type("sde-dpmsolver++");
  request.set_lower_order_final(false);
  request.set_euler_at_final(true);
  request.set_thresholding(true);
  request.set_dynamic_thresholding_ratio(0.75f);
  request.set_sample_max_value(1.5f);
  const auto parsed = Parse(request);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->sampling.sigma_schedule, "karras");
  EXPECT_EQ(parsed->sampling.solver_order, 3);
  EXPECT_EQ(parsed->sampling.solver_type, "heun");
  EXPECT_EQ(parsed->sampling.algorithm_type, "sde-dpmsolver++");
  EXPECT_FALSE(parsed->sampling.lower_order_final);
  EXPECT_TRUE(parsed->sampling.euler_at_final);
  EXPECT_TRUE(parsed->sampling.thresholding);
  EXPECT_EQ(parsed->sampling.dynamic_thresholding_ratio, 0.75);
  EXPECT_EQ(parsed->sampling.sample_max_value, 1.5);
  const v1::ResolvedParameters parameters = ToProto(*parsed);
  EXPECT_EQ(parameters.solver_order(), 3u);
  EXPECT_EQ(parameters.solver_type(), "heun");
  EXPECT_TRUE(parameters.euler_at_final());
}

TEST(SamplingFields, ASamplersFirstSolverTypeIsItsDefault) {
  for (const auto& [sampler, solver] :
       {std::pair("dpmpp", "midpoint"), std::pair("unipc", "bh2"), std::pair("euler", ""),
        std::pair("probability_flow", "heun")}) {
    v1::GenerateRequest request;
    request.set_sampler(sampler);
    EXPECT_EQ(Parse(request)->sampling.solver_type, solver);
  }
}

TEST(SamplingFields, LangevinStepsDefaultToTheSamplersOwn) {
  for (const auto& [sampler, langevin_steps] :
       {std::pair("annealed_langevin", 10u), std::pair("predictor_corrector", 1u)}) {
    v1::GenerateRequest request;
    request.set_sampler(sampler);
    request.set_steps(20);
    EXPECT_EQ(ToProto(*Parse(request)).langevin_steps(), langevin_steps);
    request.set_langevin_steps(7);
    EXPECT_EQ(ToProto(*Parse(request)).langevin_steps(), 7u);
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
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

INSTANTIATE_TEST_SUITE_P(
    Options, SamplingFieldsFault,
    ::testing::Values(
        Fault{"OrderZero", [](R& r) { r.set_sampler("dpmpp"), r.set_solver_order(0); },
              "solver_order", "0 is not in 1 .. 3"},
        Fault{"OrderForHeun", [](R& r) { r.set_sampler("heun"), r.set_solver_order(2); },
              "solver_order", "no effect on sampler heun; read by: deis, dpmpp, unipc"},
        Fault{"AnothersSolverType", [](R& r) { r.set_sampler("dpmpp"), r.set_solver_type("bh1"); },
              "solver_type", "\"bh1\" is not one of midpoint, heun"},
        Fault{"SolverTypeForEuler", [](R& r) { r.set_sampler("euler"), r.set_solver_type("bh1"); },
              "solver_type", "no effect on sampler euler; read by: dpmpp, probability_flow, unipc"},
        Fault{"UnknownSigmas", [](R& r) { r.set_sampler("lms"), r.set_sigma_schedule("carras"); },
              "sigma_schedule", "\"carras\" is not one of timesteps, karras, exponential"},
        Fault{"ChurnNaN", [](R& r) { r.set_sampler("euler"), r.set_s_churn(kNaN); }, "s_churn",
              "nan is not in 0 .. "},
        Fault{"LangevinForDdpm", [](R& r) { r.set_sampler("ddpm"), r.set_langevin_steps(2); },
              "langevin_steps",
              "2 has no effect on sampler ddpm; read by: annealed_langevin, predictor_corrector"},
        Fault{"LangevinStepOfNoSize",
              [](R& r) { r.set_sampler("annealed_langevin"), r.set_langevin_step_size(0); },
              "langevin_step_size", "0 is not in 0 .. 2, the first excluded"},
        Fault{"QuantileZero", [](R& r) { r.set_dynamic_thresholding_ratio(0); },
              "dynamic_thresholding_ratio", "0 is not in 0 .. 1, the first excluded"},
        Fault{"SkipForEuler", [](R& r) { r.set_sampler("euler"), r.set_skip_prk_steps(true); },
              "skip_prk_steps", "true has no effect on sampler euler; read by: pndm"}),
    ::testing::PrintToStringParamName());

}  // namespace
}  // namespace diffusiond
