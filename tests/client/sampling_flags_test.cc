#include "client/commands/sampling_flags.h"

#include <limits>
#include <string>
#include <vector>

#include "absl/flags/reflection.h"
#include "client/commands/command_line.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

TEST(SamplingFlagsTest, EachSetsItsField) {
  const absl::FlagSaver saver;
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
  const auto rest = ParseFlags(arguments, kSamplingFlags);
  ASSERT_TRUE(rest.ok()) << rest.status();
  v1::GenerateRequest request;
  SetSamplingByFlags(request);
  EXPECT_EQ(request.sampler(), "dpmpp");
  EXPECT_EQ(request.sigma_schedule(), "karras");
  EXPECT_EQ(request.final_sigmas_type(), "zero");
  EXPECT_EQ(request.solver_order(), 3u);
  EXPECT_EQ(request.solver_type(), "heun");
  EXPECT_EQ(request.algorithm_type(), "sde-dpmsolver++");
  EXPECT_TRUE(request.has_lower_order_final());
  EXPECT_FALSE(request.lower_order_final());
  EXPECT_TRUE(request.euler_at_final());
  EXPECT_TRUE(request.has_predict_x0());
  EXPECT_TRUE(request.skip_prk_steps());
  EXPECT_EQ(request.s_churn(), 1);
  EXPECT_EQ(request.s_tmin(), 2);
  EXPECT_EQ(request.s_tmax(), std::numeric_limits<float>::infinity());
  EXPECT_EQ(request.s_noise(), 0.5f);
  EXPECT_EQ(request.arithmetic(), "diffusers");
  EXPECT_TRUE(request.use_clipped_model_output());
  EXPECT_TRUE(request.thresholding());
  EXPECT_EQ(request.dynamic_thresholding_ratio(), 0.75f);
  EXPECT_EQ(request.sample_max_value(), 1.5f);
  EXPECT_EQ(request.langevin_steps(), 3u);
  EXPECT_EQ(request.langevin_step_size(), 0.5f);
}

TEST(SamplingFlagsTest, NoneLeaveAllToTheServer) {
  const absl::FlagSaver saver;
  v1::GenerateRequest request;
  SetSamplingByFlags(request);
  EXPECT_EQ(request.ByteSizeLong(), 0u);
}

}  // namespace
}  // namespace diffusiond
