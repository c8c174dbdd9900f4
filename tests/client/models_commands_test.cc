// diffusionctl's models and samplers, against a server in this process.
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/diffusionctl_fixture.h"
#include "tests/client/fake_diffusion_service.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(DiffusionctlTest, ModelsListsAndDescribes) {
  Serve({.models = {TinyModel()}});
  ASSERT_EQ(Run({"models"}), kExitOk) << err();
  EXPECT_EQ(out(),
            "NAME  SIZE      CLASSES  PARAMETERS  DEFAULTS               DIGEST\n"
            "tiny  4x4 grey  2        1.8 M       ddim, 40 steps, eta 1  d19357000000\n");
  ASSERT_EQ(Run({"models", "tiny"}), kExitOk) << err();
  EXPECT_THAT(out(), HasSubstr("0 dot, 1 T-shirt/top"));
  EXPECT_THAT(out(), HasSubstr(TinyModel().digest()));
  EXPECT_THAT(out(), HasSubstr("its scheduler is of another class"));
  EXPECT_THAT(out(), HasSubstr("not annealed_langevin"));
  EXPECT_THAT(out(), HasSubstr("takes more steps"));
  EXPECT_THAT(out(), HasSubstr("ancestral sampling"));
  EXPECT_EQ(Run({"models", "huge"}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("NOT_FOUND: no model 'huge'"));
}

TEST_F(DiffusionctlTest, SamplersTellsTheOptions) {
  Serve({.models = {TinyModel()}});
  ASSERT_EQ(Run({"samplers", "--model=tiny"}), kExitOk) << err();
  EXPECT_EQ(out(),
            "Samplers of tiny:\n"
            "  ddpm\n"
            "      ancestral sampling\n"
            "      reads variance, timestep_spacing, clip_sample\n"
            "  ddim (default)\n"
            "      implicit sampling\n"
            "      reads eta, timestep_spacing, clip_sample\n"
            "\n"
            "Options, as flags of generate:\n"
            "  eta: 0 .. 1\n"
            "      how random\n"
            "  timestep_spacing: leading, trailing, linspace\n"
            "      which timesteps\n"
            "  clip_sample: true, false\n"
            "      clamp x0-hat\n");
}

TEST_F(DiffusionctlTest, SamplersTellsTheStepsOfEachWhereTheServerDoes) {
  v1::Model model = TinyModel();
  model.set_name(std::string(40, 'm'));
  model.mutable_samplers(0)->set_default_steps(1000);
  model.mutable_samplers(1)->set_default_steps(40);
  Serve({.models = {model}});
  terminal_.columns = 80;
  ASSERT_EQ(Run({"samplers"}), kExitOk) << err();
  EXPECT_THAT(out(), StartsWith("Samplers of " + model.name() +
                                ", with the steps of each by\n"
                                "default:\n"
                                "  ddpm: 1000 steps\n"));
  EXPECT_THAT(out(), HasSubstr("\n  ddim (default): 40 steps\n      implicit sampling\n"));
}

TEST_F(DiffusionctlTest, SamplersRecommendsOneThatTheModelHas) {
  v1::Model model = TinyModel();
  model.add_samplers()->set_name("unipc");
  Serve({.models = {model}});
  ASSERT_EQ(Run({"samplers", "--model=tiny"}), kExitOk) << err();
  EXPECT_THAT(out(), HasSubstr("\nFor few steps: --sampler=unipc"));
}

}  // namespace
}  // namespace diffusiond
