#include "client/sampling_options.h"

#include <limits>
#include <string>
#include <vector>

#include "client/commands/command_line.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

TEST(SamplingOptionsTest, EachSetsItsField) {
  const std::vector<std::string> arguments = {"--sampler=dpmpp",
                                              "--sigma_schedule=karras",
                                              "--final_sigmas_type=zero",
                                              "--solver_order=3",
                                              "--solver_type=heun",
                                              "--algorithm_type=sde-dpmsolver++",
                                              "--nolower_order_final",
                                              "--euler-at-final",
                                              "--nopredict_x0",
                                              "--skip_prk_steps",
                                              "--s_churn=1",
                                              "--s_tmin=2",
                                              "--s_tmax=inf",
                                              "--s_noise=0.5",
                                              "--arithmetic=diffusers",
                                              "--use_clipped_model_output",
                                              "--thresholding",
                                              "--dynamic_thresholding_ratio=0.75",
                                              "--sample_max_value=1.5",
                                              "--langevin_steps=3",
                                              "--langevin_step_size=0.5"};
  OptionValues values;
  const auto rest = ParseFlags(arguments, {.options = SamplingOptionSpecs()}, &values);
  ASSERT_TRUE(rest.ok()) << rest.status();
  v1::GenerateRequest request;
  SetSampling(values, request.mutable_sampling());
  EXPECT_EQ(request.sampling().sampler(), "dpmpp");
  EXPECT_EQ(request.sampling().sigma_schedule(), "karras");
  EXPECT_EQ(request.sampling().final_sigmas_type(), "zero");
  EXPECT_EQ(request.sampling().solver_order(), 3u);
  EXPECT_EQ(request.sampling().solver_type(), "heun");
  EXPECT_EQ(request.sampling().algorithm_type(), "sde-dpmsolver++");
  EXPECT_TRUE(request.sampling().has_lower_order_final());
  EXPECT_FALSE(request.sampling().lower_order_final());
  EXPECT_TRUE(request.sampling().euler_at_final());
  EXPECT_TRUE(request.sampling().has_predict_x0());
  EXPECT_TRUE(request.sampling().skip_prk_steps());
  EXPECT_EQ(request.sampling().s_churn(), 1);
  EXPECT_EQ(request.sampling().s_tmin(), 2);
  EXPECT_EQ(request.sampling().s_tmax(), std::numeric_limits<float>::infinity());
  EXPECT_EQ(request.sampling().s_noise(), 0.5f);
  EXPECT_EQ(request.sampling().arithmetic(), "diffusers");
  EXPECT_TRUE(request.sampling().use_clipped_model_output());
  EXPECT_TRUE(request.sampling().thresholding());
  EXPECT_EQ(request.sampling().dynamic_thresholding_ratio(), 0.75f);
  EXPECT_EQ(request.sampling().sample_max_value(), 1.5f);
  EXPECT_EQ(request.sampling().langevin_steps(), 3u);
  EXPECT_EQ(request.sampling().langevin_step_size(), 0.5f);
}

TEST(SamplingOptionsTest, NoneLeaveAllToTheServer) {
  v1::SamplingOptions sampling;
  SetSampling({}, &sampling);
  EXPECT_EQ(sampling.ByteSizeLong(), 0u);
}

TEST(SamplingOptionsTest, ValuesAreTold) {
  EXPECT_EQ(ValuesOf(*FindSamplingOption("eta")), "0..1");
  EXPECT_EQ(ValuesOf(*FindSamplingOption("s_tmax")), "0 or more");
  EXPECT_EQ(ValuesOf(*FindSamplingOption("final_sigmas_type")), "zero|sigma_min");
  EXPECT_EQ(ValuesOf(*FindSamplingOption("sampler")), "NAME");
  EXPECT_EQ(FindSamplingOption("etas"), nullptr);
}

}  // namespace
}  // namespace diffusiond
