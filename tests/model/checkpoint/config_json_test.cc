#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/generation_defaults.h"
#include "model/checkpoint/model_index_json.h"
#include "model/checkpoint/unet_config_json.h"
#include "tests/model/checkpoint/golden_directory.h"
#include "tests/model/checkpoint/json_fault.h"
#include "tests/model/checkpoint/scratch_directory.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

Json ValidUNet() {
  UNetConfig config;
  return Json::parse(*FormatUNetConfig(config));
}

TEST(UNetConfigJsonTest, WritesTheVeryFilesOfDiffusers) {
  int compared = 0;
  for (const auto& golden : GoldenCheckpoints(ShippedGoldenDirectory())) {
    const auto path = golden / "unet/config.json";
    if (!std::filesystem::exists(path)) continue;
    const std::string text = ReadWholeFile(path);
    const absl::StatusOr<UNetConfig> config = ParseUNetConfig(text);
    ASSERT_TRUE(config.ok()) << path << config.status();
    EXPECT_EQ(Json::parse(*FormatUNetConfig(*config)), Json::parse(text)) << path;
    EXPECT_EQ(*ParseUNetConfig(*FormatUNetConfig(*config)), *config) << path;
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

TEST(UNetConfigJsonTest, ShortOldFilesTakeTheConstructorsDefaults) {
  for (const auto& entry : std::filesystem::directory_iterator(ShippedGoldenDirectory() / "hub")) {
    const auto path = entry.path() / "config.json";
    const absl::StatusOr<UNetConfig> config = ParseUNetConfig(ReadWholeFile(path));
    ASSERT_TRUE(config.ok()) << path << config.status();
    EXPECT_EQ(config->attention_head_dim, std::nullopt) << path;
    EXPECT_EQ(config->block_out_channels[0], 128) << path;
    EXPECT_EQ(config->norm_eps, 1e-6) << path;
    EXPECT_TRUE(config->add_attention) << path;
    EXPECT_EQ(config->resnet_time_scale_shift, "default") << path;
    EXPECT_EQ(config->num_class_embeds, std::nullopt) << path;
  }
}

TEST(UNetConfigJsonTest, OldAndNewFilesOfOneModelAreEqual) {
  EXPECT_EQ(*ParseUNetConfig(
                ReadWholeFile(ShippedGoldenDirectory() / "unet/cifar_narrow_old/config.json")),
            *ParseUNetConfig(ReadWholeFile(ShippedGoldenDirectory() /
                                           "unet/cifar_narrow_new/unet/config.json")));
}

TEST(UNetConfigJsonTest, EveryFieldSurvivesARoundTrip) {
  UNetConfig config;
  config.sample_height = 48;
  config.sample_width = 16;
  config.in_channels = 2;
  config.out_channels = 4;
  config.center_input_sample = true;
  config.freq_shift = 1;
  config.flip_sin_to_cos = false;
  config.down_block_types = {"ResnetDownsampleBlock2D", "AttnDownBlock2D"};
  config.up_block_types = {"UpBlock2D", "ResnetUpsampleBlock2D"};
  config.block_out_channels = {32, 48};
  config.layers_per_block = 3;
  config.mid_block_scale_factor = 1.414;
  config.downsample_padding = 0;
  config.downsample_type = "resnet";
  config.upsample_type = "resnet";
  config.dropout = 0.1;
  config.act_fn = "swish";
  config.attention_head_dim = 16;
  config.norm_num_groups = 8;
  config.attn_norm_num_groups = 4;
  config.norm_eps = 1e-3;
  config.resnet_time_scale_shift = "scale_shift";
  config.add_attention = false;
  config.num_class_embeds = 11;
  const absl::StatusOr<UNetConfig> read = ParseUNetConfig(*FormatUNetConfig(config));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, config);
}

TEST(UNetConfigJsonTest, IgnoresUnknownFieldsAndReadsTheFirstReleasesBlockNames) {
  Json json = ValidUNet();
  json["timestep_values"] = nullptr;
  json["down_block_types"][0] = "UNetResDownBlock2D";
  const absl::StatusOr<UNetConfig> config = ParseUNetConfig(json.dump());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->down_block_types[0], "DownBlock2D");
}

TEST(UNetConfigJsonTest, RefusesWhatItCannotBuildAndNamesTheField) {
  ExpectRefused<UNetConfig>(
      ParseUNetConfig, ValidUNet(),
      {{R"({"_class_name": "UNet2DConditionModel"})", "_class_name: expected UNet2DModel"},
       {R"({"sample_size": null})", "sample_size: expected an integer or [height, width]"},
       {R"({"sample_size": [32]})", "sample_size: expected an integer or [height, width]"},
       {R"({"sample_size": 28})", "sample_size is 28, expected a multiple of 8, for 4 levels"},
       {R"({"sample_size": 1000000})", "sample_size is 1000000, expected 1 to"},
       {R"({"in_channels": 64, "sample_size": 4096})",
        "in_channels times sample_size is 64 x 4096 x 4096 = 1073741824, expected at most"},
       {R"({"out_channels": 1000, "sample_size": 1024})",
        "out_channels times sample_size is 1000 x 1024 x 1024 = 1048576000, expected at most"},
       {R"({"in_channels": 0})", "in_channels is 0, expected 1 to"},
       {R"({"in_channels": "3"})", "in_channels: expected an integer, found \"3\""},
       {R"({"out_channels": 1e30})", "out_channels: expected an integer"},
       {R"({"out_channels": 18446744073709551615})", "out_channels: expected an integer"},
       {R"({"center_input_sample": 1})", "center_input_sample: expected true or false"},
       {R"({"time_embedding_type": "fourier"})",
        "time_embedding_type is 'fourier', allowed: positional"},
       {R"({"time_embedding_dim": 12})", "time_embedding_dim: expected null or"},
       {R"({"freq_shift": 112})", "freq_shift is 112, expected 0 to 111"},
       {R"({"down_block_types": ["DownBlock2D"]})",
        "the length of down_block_types is 1, expected that of block_out_channels, 4"},
       {R"({"up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"]})",
        "up_block_types[1] is 'CrossAttnUpBlock2D', allowed: UpBlock2D, AttnUpBlock2D"},
       {R"({"down_block_types": "DownBlock2D"})", "down_block_types: expected a list of strings"},
       {R"({"mid_block_type": "UNetMidBlock2DCrossAttn"})", "mid_block_type is 'UNetMidBlock2DCr"},
       {R"({"block_out_channels": []})", "the length of block_out_channels is 0"},
       {R"({"block_out_channels": [224, 448, 672, 900]})",
        "block_out_channels[3] is 900, expected a multiple of norm_num_groups = 32"},
       {R"({"block_out_channels": [224, 448, 672, 1099511627776]})",
        "block_out_channels[3] is 1099511627776, expected 1 to"},
       {R"({"layers_per_block": 1000000})", "layers_per_block is 1000000, expected 1 to"},
       {R"({"mid_block_scale_factor": 0})", "mid_block_scale_factor is 0, expected 0.001 to"},
       {R"({"mid_block_scale_factor": 1e300})",
        "mid_block_scale_factor is 1e+300, expected 0.001 to 1000"},
       {R"({"downsample_padding": 2})", "downsample_padding is 2, expected 0 to 1"},
       {R"({"downsample_type": "fir"})", "downsample_type is 'fir', allowed: conv, resnet"},
       {R"({"upsample_type": "fir"})", "upsample_type is 'fir', allowed: conv, resnet"},
       {R"({"dropout": 1})", "dropout is 1, expected 0 to below 1"},
       {R"({"act_fn": "mish"})", "act_fn is 'mish', allowed: silu, swish"},
       {R"({"attention_head_dim": 0})", "attention_head_dim is 0, expected 1 to"},
       {R"({"attention_head_dim": 9})", "expected a multiple of attention_head_dim = 9"},
       {R"({"norm_num_groups": 0})", "norm_num_groups is 0, expected 1 to"},
       {R"({"attn_norm_num_groups": 5})", "expected a multiple of attn_norm_num_groups = 5"},
       {R"({"norm_eps": -1e-5})", "norm_eps is -1e-05, expected 1e-12 to 1"},
       {R"({"norm_eps": 1e308})", "norm_eps is 1e+308, expected 1e-12 to 1"},
       {R"({"norm_eps": 1e-300})", "norm_eps is 1e-300, expected 1e-12 to 1"},
       {R"({"time_embedding_dim": 4, "block_out_channels": [4611686018427387905]})",
        "time_embedding_dim: expected null or 4 * block_out_channels[0] = 4 * 4611686018427387905"},
       {R"({"resnet_time_scale_shift": "spatial"})", "resnet_time_scale_shift is 'spatial'"},
       {R"({"class_embed_type": "timestep"})", "class_embed_type is 'timestep', expected null"},
       {R"({"num_class_embeds": 0})", "num_class_embeds is 0, expected 1 to"},
       {R"({"act_fn": 3, "freq_shift": true})",
        "freq_shift: expected an integer, found true; act_fn: expected a string, found 3"}});
}

TEST(UNetConfigJsonTest, NamesTheBlocksOfNcsnPlusPlusBeforeAnythingElse) {
  Json ncsn = ValidUNet();
  ncsn["down_block_types"] = {"SkipDownBlock2D", "AttnSkipDownBlock2D"};
  ncsn["norm_num_groups"] = nullptr;
  const absl::Status status = ParseUNetConfig(ncsn.dump()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'SkipDownBlock2D': NCSN++"));
}

TEST(UNetConfigJsonTest, RefusesWhatIsNotAnObject) {
  for (const char* text : {"", "nul", "[]", "3", "{\"a\":", "{} {}", "\xff"}) {
    EXPECT_EQ(ParseUNetConfig(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_THAT(std::string(ParseUNetConfig(std::string(5 << 20, ' ')).status().message()),
              HasSubstr("at most 4194304"));
  EXPECT_FALSE(ParseUNetConfig(std::string(1 << 20, '[')).ok());
}

TEST(UNetConfigJsonTest, AFieldThatNobodyKnowsIsWarnedOf) {
  std::vector<std::string> warnings;
  Json json = ValidUNet();
  json["decay"] = 0.9999;  // Of averaged weights.
  ASSERT_TRUE(ParseUNetConfig(json.dump(), &warnings).ok());
  EXPECT_THAT(warnings, IsEmpty());
  json["skip_scale"] = 0.7;
  ASSERT_TRUE(ParseUNetConfig(json.dump(), &warnings).ok());
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("knows no field 'skip_scale'")));
}

TEST(GenerationDefaultsTest, SurviveARoundTrip) {
  const GenerationDefaults defaults = {.guidance_scale = 2,
                                       .options = {{"sampler", std::string("dpmpp")},
                                                   {"steps", int64_t{30}},
                                                   {"s_noise", 0.25},
                                                   {"clip_sample", false},
                                                   {"sigma_schedule", std::string("karras")}}};
  EXPECT_EQ(*ParseGenerationDefaults(*FormatGenerationDefaults(defaults)), defaults);
  EXPECT_EQ(*ParseGenerationDefaults(*FormatGenerationDefaults({})), GenerationDefaults());
  EXPECT_EQ(*ParseGenerationDefaults("{}"), GenerationDefaults());
}

TEST(GenerationDefaultsTest, WarnOfFieldsThatAreNone) {
  std::vector<std::string> warnings;
  ASSERT_TRUE(ParseGenerationDefaults(R"({"eta": 1, "num_inference_steps": 9})", &warnings).ok());
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("'num_inference_steps'")));
}

TEST(GenerationDefaultsTest, AreRefusedOutOfRange) {
  ExpectRefused<GenerationDefaults>(
      ParseGenerationDefaults, Json::object(),
      {{R"({"sampler": ""})", "sampler is empty"},
       {R"({"steps": 0})", "steps: 0 is not in 1 .. "},
       {R"({"steps": 5000000000})", "steps: 5000000000 is not in 1 .. "},
       {R"({"steps": 2.5})", "steps"},
       {R"({"eta": 1.5})", "eta: 1.5 is not in 0 .. 1"},
       {R"({"guidance_scale": -1})", "guidance_scale: -1 is not in 0 .. 50"},
       {R"({"variance": "wide"})", "variance: \"wide\" is not one of fixed_small"},
       {R"({"timestep_spacing": "even"})", "timestep_spacing: \"even\" is not one of leading"},
       {R"({"clip_sample": 1})", "clip_sample"}});
}

TEST(ModelIndexJsonTest, WritesTheVeryFileOfDiffusers) {
  const std::string text =
      ReadWholeFile(ShippedGoldenDirectory() / "unet/cifar_narrow_new/model_index.json");
  ASSERT_TRUE(ParseModelIndex(text).ok());
  EXPECT_EQ(*FormatModelIndex({}), text);
}

TEST(ModelIndexJsonTest, ClassNamesSurviveARoundTripInOrder) {
  ModelIndex index;
  for (int i = 0; i < 12; ++i) index.class_names.push_back("class " + std::to_string(i));
  index.null_class_id = 12;
  const absl::StatusOr<ModelIndex> read = ParseModelIndex(*FormatModelIndex(index));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->class_names, index.class_names);
  EXPECT_EQ(read->null_class_id, 12);
  index.class_names[3] = "\xff";
  EXPECT_FALSE(FormatModelIndex(index).ok());
}

TEST(ModelIndexJsonTest, RefusesPipelinesThatDoNotDrawPixels) {
  const std::string ldm = ReadWholeFile(ShippedGoldenDirectory() / "cases/01-ldm.model_index.json");
  const std::string message(ParseModelIndex(ldm).status().message());
  EXPECT_THAT(message, HasSubstr("component vqvae"));
  EXPECT_THAT(message, HasSubstr("VQModel"));
  EXPECT_THAT(message, HasSubstr("_class_name"));
  EXPECT_THAT(message, HasSubstr("LDMPipeline"));
  ExpectRefused<ModelIndex>(
      ParseModelIndex, Json::parse(*FormatModelIndex({})),
      {{R"({"vae": ["diffusers", "AutoencoderKL"]})", "component vae"},
       {R"({"mel": ["diffusers", "Mel"]})", "component mel"},
       {R"({"_class_name": "ConsistencyModelPipeline"})", "ConsistencyModelPipeline"}});
}

TEST(ModelIndexJsonTest, TakesPipelinesOfNetworkAndSchedulerAloneAndSaysIfItDoesNotKnowOne) {
  const auto warnings_of = [](const char* change) {
    Json json = Json::parse(*FormatModelIndex({}));
    json.merge_patch(Json::parse(change));
    std::vector<std::string> warnings;
    const auto index = ParseModelIndex(json.dump(), &warnings);
    EXPECT_TRUE(index.ok()) << index.status();
    return warnings;
  };
  EXPECT_THAT(warnings_of(R"({"_class_name": "DDIMPipeline"})"), IsEmpty());
  EXPECT_THAT(warnings_of(R"({"_class_name": null})"), IsEmpty());
  EXPECT_THAT(warnings_of(R"({"safety_checker": [null, null]})"), IsEmpty());
  EXPECT_THAT(warnings_of(R"({"_class_name": ["pipeline", "Mine"]})"),
              ElementsAre(HasSubstr("Mine")));
  EXPECT_THAT(warnings_of(R"({"requires_safety_checker": true})"),
              ElementsAre(HasSubstr("'requires_safety_checker'")));
  EXPECT_THAT(warnings_of(R"({"resolution": [64, 64]})"), ElementsAre(HasSubstr("'resolution'")));
}

TEST(ModelIndexJsonTest, RefusesOtherNetworksAndGapsInTheClassNames) {
  ExpectRefused<ModelIndex>(
      ParseModelIndex, Json::parse(*FormatModelIndex({})),
      {{R"({"unet": ["diffusers", "UNet2DConditionModel"]})", "unet: expected"},
       {R"({"unet": "UNet2DModel"})", "unet: expected a list of strings"},
       {R"({"id2label": ["a"]})", "id2label: expected an object"},
       {R"({"id2label": {"0": "a", "2": "c"}})", "id 1 included"},
       {R"({"id2label": {"0": "a", "01": "c"}})", "id 1 included"},
       {R"({"id2label": {"0": 7}})", "id2label: expected a string"},
       {R"({"null_class_id": "last"})", "null_class_id: expected a small integer"}});
}

}  // namespace
}  // namespace diffusiond
