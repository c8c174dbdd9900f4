#include "model/sampling/sampling_advice.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Asked {
  std::string sampler = "unipc";
  int64_t steps = 20;
  TimestepSpacing spacing = TimestepSpacing::kTrailing;
  double guidance_scale = 1.25;
  double eta = 0;
  bool clip_sample = true;
  bool use_clipped_model_output = false;
};

// The model's own: unipc of 15 steps, guidance 1.25.
std::vector<std::string> Advice(const Asked& asked, int64_t default_steps = 15,
                                double default_guidance_scale = 1.25) {
  SamplingOptions defaults;
  defaults.sampler = "unipc";
  defaults.steps = default_steps;
  SamplingOptions options = defaults;
  options.sampler = asked.sampler;
  options.steps = asked.steps;
  options.timestep_spacing = asked.spacing;
  options.eta = asked.eta;
  options.clip_sample = asked.clip_sample;
  options.use_clipped_model_output = asked.use_clipped_model_output;
  return SamplingAdvice(*FindSampler(asked.sampler), options, {.scale = asked.guidance_scale},
                        defaults, default_guidance_scale);
}

TEST(SamplingAdviceTest, WhatDrawsWellHasNone) {
  EXPECT_THAT(Advice({}), IsEmpty());
  EXPECT_THAT(Advice({.steps = 5}), IsEmpty());
  EXPECT_THAT(Advice({.guidance_scale = 10}), IsEmpty());
  EXPECT_THAT(Advice({.sampler = "reverse_sde", .steps = 100}), IsEmpty());
}

TEST(SamplingAdviceTest, TooFewStepsAreNamedWithWhatTheSamplerNeeds) {
  EXPECT_THAT(Advice({.steps = 4}),
              ElementsAre("sampling.steps is 4; unipc leaves noise with fewer "
                          "than about 5"));
  EXPECT_THAT(Advice({.steps = 9, .spacing = TimestepSpacing::kLeading}),
              ElementsAre(HasSubstr("fewer than about 10")));
  EXPECT_THAT(Advice({.sampler = "reverse_sde", .steps = 99}),
              ElementsAre("sampling.steps is 99; reverse_sde leaves noise with fewer than about "
                          "100"));
}

TEST(SamplingAdviceTest, GuidanceThatSaturatesIsNamed) {
  EXPECT_THAT(Advice({.guidance_scale = 12.5}), ElementsAre(HasSubstr("guidance_scale is 12.5")));
  EXPECT_THAT(Advice({.steps = 2, .guidance_scale = 50}),
              ElementsAre(HasSubstr("steps"), HasSubstr("guidance_scale")));
}

TEST(SamplingAdviceTest, ClippingThatDriftsUnderGuidanceIsNamed) {
  EXPECT_THAT(Advice({.sampler = "ddim", .steps = 250}),
              ElementsAre("sampling.use_clipped_model_output is false; with 250 steps of "
                          "guidance_scale 1.25 ddim drifts from the data where it clips: true "
                          "holds it"));
  EXPECT_THAT(Advice({.sampler = "ddim", .steps = 20, .guidance_scale = 2}),
              ElementsAre(HasSubstr("use_clipped_model_output")));
  for (const Asked& held :
       {Asked{.sampler = "ddim", .steps = 40},
        Asked{.sampler = "ddim", .steps = 250, .guidance_scale = 1},
        Asked{.sampler = "ddim", .steps = 250, .eta = 1},
        Asked{.sampler = "ddim", .steps = 250, .clip_sample = false},
        Asked{.sampler = "ddim", .steps = 250, .use_clipped_model_output = true},
        Asked{.sampler = "unipc", .steps = 250}}) {
    EXPECT_THAT(Advice(held), IsEmpty()) << held.sampler << " " << held.steps;
  }
}

// A model made for few steps, or for much guidance, knows better.
TEST(SamplingAdviceTest, TheModelsOwnDefaultsAreNotAdvisedAgainst) {
  EXPECT_THAT(Advice({.steps = 2}, /*default_steps=*/2), IsEmpty());
  EXPECT_THAT(Advice({.steps = 1}, /*default_steps=*/2), ElementsAre(HasSubstr("steps is 1")));
  EXPECT_THAT(Advice({.guidance_scale = 12}, 15, /*default_guidance_scale=*/12), IsEmpty());
}

}  // namespace
}  // namespace diffusiond
