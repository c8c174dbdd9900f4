#include "model/checkpoint/diffusers_directory.h"

#include <sys/stat.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/checkpoint/safetensors.h"
#include "tests/model/checkpoint/golden_directory.h"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/model/checkpoint/small_checkpoint.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Json = nlohmann::json;

bool SameTensors(const TensorMap& a, const TensorMap& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.dtype == y.second.dtype &&
           x.second.shape == y.second.shape &&
           std::equal(x.second.data.begin(), x.second.data.end(), y.second.data.begin(),
                      y.second.data.end());
  });
}

TEST(DiffusersDirectoryTest, EveryGoldenCheckpointOpensAndSurvivesARoundTrip) {
  ScratchDirectory scratch;
  for (const fs::path& golden : GoldenCheckpoints(GoldenDirectory())) {
    const absl::StatusOr<Checkpoint> read = Checkpoint::Open(golden);
    ASSERT_TRUE(read.ok()) << read.status();
    const Json meta = Json::parse(ReadWholeFile(golden / "meta.json"));
    EXPECT_EQ(read->tensors().size(), meta.at("num_tensors").get<size_t>()) << golden;
    EXPECT_EQ(read->digest().size(), 64u);
    for (const auto& [name, tensor] : read->tensors()) {
      EXPECT_EQ(FindNonFinite(tensor), std::nullopt) << golden << name;
    }

    const fs::path copy = scratch / golden.filename().string();
    ASSERT_TRUE(SaveCheckpoint(copy, read->config(), read->tensors()).ok()) << golden;
    const absl::StatusOr<Checkpoint> again = Checkpoint::Open(copy);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->digest(), read->digest()) << golden;
    EXPECT_EQ(again->config(), read->config()) << golden;
    EXPECT_TRUE(SameTensors(again->tensors(), read->tensors())) << golden;
  }
}

TEST(DiffusersDirectoryTest, WritesTheVeryFilesOfDiffusers) {
  ScratchDirectory scratch;
  const fs::path golden = ShippedGoldenDirectory() / "unet/cifar_narrow_new",
                 copy = scratch / "copy";
  const absl::StatusOr<Checkpoint> read = Checkpoint::Open(golden);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_TRUE(SaveCheckpoint(copy, read->config(), read->tensors()).ok());
  for (const char* name :
       {"model_index.json", "unet/config.json", "scheduler/scheduler_config.json",
        "unet/diffusion_pytorch_model.safetensors"}) {
    EXPECT_TRUE(ReadWholeFile(golden / name) == ReadWholeFile(copy / name)) << name;
  }
}

TEST(DiffusersDirectoryTest, FlatOldNamesAndNestedNewNamesAreOneModel) {
  const absl::StatusOr<Checkpoint> old_names =
      Checkpoint::Open(ShippedGoldenDirectory() / "unet/cifar_narrow_old");
  const absl::StatusOr<Checkpoint> new_names =
      Checkpoint::Open(ShippedGoldenDirectory() / "unet/cifar_narrow_new");
  ASSERT_TRUE(old_names.ok() && new_names.ok());
  EXPECT_TRUE(SameTensors(old_names->tensors(), new_names->tensors()));
  EXPECT_EQ(old_names->digest(), new_names->digest());
}

// A small checkpoint on disk, nested, to be damaged.
class CheckpointOnDiskTest : public ::testing::Test {
 protected:
  CheckpointOnDiskTest() { Save(SmallConfig()); }

  void Save(const CheckpointConfig& config) {
    const absl::Status status = SaveCheckpoint(root_, config, tensors_.views());
    ASSERT_TRUE(status.ok()) << status;
  }
  absl::StatusOr<Checkpoint> Open() const { return Checkpoint::Open(root_); }

  void ExpectRefused(absl::StatusCode code, const std::string& file, const std::string& message) {
    const absl::Status status = Open().status();
    EXPECT_EQ(status.code(), code) << file;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(absl::StrCat(root_.string(), file.empty() ? "" : "/", file)));
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
  void Change(const std::string& file, const char* change) {
    Json json = Json::parse(ReadWholeFile(root_ / file));
    json.merge_patch(Json::parse(change));
    WriteWholeFile(root_ / file, json.dump());
  }

  ScratchDirectory scratch_;
  const fs::path root_ = scratch_ / "model";
  const OwnedTensors tensors_ = SmallTensors(1);
};

TEST_F(CheckpointOnDiskTest, ConfigurationSurvivesARoundTrip) {
  CheckpointConfig config = SmallConfig();
  config.generation =
      GenerationDefaults{.guidance_scale = 2,
                         .options = {{"sampler", std::string("ddim")},
                                     {"steps", int64_t{30}},
                                     {"eta", 1.0},
                                     {"timestep_spacing", std::string("trailing")}}};
  config.scheduler.class_name = "DDIMScheduler";
  Save(config);
  EXPECT_EQ(Open()->config(), config);
}

TEST_F(CheckpointOnDiskTest, TheFlatLayoutIsTheSameModel) {
  const std::string nested = Open()->digest();
  fs::rename(root_ / "unet/config.json", root_ / "config.json");
  fs::rename(root_ / "unet/diffusion_pytorch_model.safetensors",
             root_ / "diffusion_pytorch_model.safetensors");
  fs::rename(root_ / "scheduler/scheduler_config.json", root_ / "scheduler_config.json");
  fs::remove(root_ / "unet");
  fs::remove(root_ / "scheduler");
  const absl::StatusOr<Checkpoint> flat = Open();
  ASSERT_TRUE(flat.ok()) << flat.status();
  EXPECT_EQ(flat->digest(), nested);
  EXPECT_EQ(flat->config(), SmallConfig());
}

TEST_F(CheckpointOnDiskTest, SymbolicLinksAreFollowed) {
  const std::string digest = Open()->digest();
  fs::rename(root_ / "unet/config.json", scratch_ / "blob");
  fs::create_symlink(scratch_ / "blob", root_ / "unet/config.json");
  const absl::StatusOr<Checkpoint> linked = Open();
  ASSERT_TRUE(linked.ok()) << linked.status();
  EXPECT_EQ(linked->digest(), digest);
}

TEST_F(CheckpointOnDiskTest, SafetensorsArePreferredOverPickles) {
  WriteWholeFile(root_ / "unet/diffusion_pytorch_model.bin", "never read");
  EXPECT_TRUE(Open().ok());
}

// What digests are made of must not change by accident: receipts carry them.
TEST_F(CheckpointOnDiskTest, DigestIsTheOneItHasAlwaysBeen) {
  EXPECT_EQ(Open()->digest(), "0e3a38ef705cb9ec172cf1755854a541e1f6b90b68a1f4f71dc6ef386d8665f1");
}

TEST_F(CheckpointOnDiskTest, DigestDependsOnWhatIsComputedAndNothingElse) {
  const std::string digest = Open()->digest();
  CheckpointConfig config = SmallConfig();
  config.generation = GenerationDefaults();
  Save(config);
  EXPECT_EQ(Open()->digest(), digest) << "generation defaults";

  std::vector<std::pair<const char*, CheckpointConfig>> others(5, {"", SmallConfig()});
  others[0] = {"class name", SmallConfig()};
  others[0].second.class_names[1] = "boot";
  others[1] = {"null class", SmallConfig()};
  others[1].second.null_class_id = 0;
  others[2] = {"scheduler", SmallConfig()};
  others[2].second.scheduler.beta_end = 0.03;
  others[3] = {"unet", SmallConfig()};
  others[3].second.unet.norm_eps = 1e-6;
  others[4] = {"no names", SmallConfig()};
  others[4].second.class_names.clear();
  for (const auto& [what, other] : others) {
    Save(other);
    EXPECT_NE(Open()->digest(), digest) << what;
  }
  Save(SmallConfig());
  EXPECT_EQ(Open()->digest(), digest);
  ASSERT_TRUE(SaveCheckpoint(root_, SmallConfig(), SmallTensors(1.0000001f).views()).ok());
  EXPECT_NE(Open()->digest(), digest) << "one bit of one weight";
}

TEST_F(CheckpointOnDiskTest, ANullClassIsAssumedWhereOneClassHasNoName) {
  Change("model_index.json", R"({"null_class_id": null})");
  EXPECT_EQ(Open()->config().null_class_id, 2);
  Change("unet/config.json", R"({"num_class_embeds": 2})");
  EXPECT_EQ(Open()->config().null_class_id, std::nullopt);
  Change("model_index.json", R"({"id2label": null})");
  EXPECT_EQ(Open()->config().null_class_id, std::nullopt);
}

// They reach the terminals of those who ask for the model.
TEST_F(CheckpointOnDiskTest, ClassNamesHoldNothingThatATerminalActsOn) {
  struct Refused {
    const char* change;
    const char* says;
  };
  for (const auto& [change, says] : {
           Refused{R"({"id2label": {"0": "a", "1": "\u001b]0;owned\u0007"}})",
                   "the name of class 1 is '\\x1b]0;owned\\x07', expected UTF-8 text without"},
           {R"({"id2label": {"0": "a\nb", "1": "b"}})", "the name of class 0 is 'a\\x0ab'"},
           {R"({"id2label": {"0": "\u009b31m", "1": "b"}})", "the name of class 0 is"},
           {R"({"id2label": {"0": "\u202eb", "1": "b"}})", "the name of class 0 is"},
       }) {
    Change("model_index.json", change);
    const absl::Status status = Checkpoint::Open(root_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << change;
    EXPECT_THAT(std::string(status.message()), HasSubstr(says));
  }
  const std::string longest(kMaxClassNameLength, 'a');
  CheckpointConfig config = SmallConfig();
  config.class_names[0] = longest;
  EXPECT_TRUE(Validate(config).ok());
  config.class_names[0] += "a";
  EXPECT_THAT(std::string(Validate(config).message()),
              HasSubstr("the name of class 0 has 1025 bytes, expected at most 1024"));
  Change("model_index.json", R"({"id2label": {"0": "Größe 短袖", "1": "b"}})");
  EXPECT_TRUE(Checkpoint::Open(root_).ok());
}

TEST_F(CheckpointOnDiskTest, NamesEveryMissingFile) {
  const std::pair<const char*, const char*> cases[] = {
      {"model_index.json", "has no model_index.json"},
      {"scheduler/scheduler_config.json", "scheduler/scheduler_config.json: cannot open"},
      {"unet/diffusion_pytorch_model.safetensors",
       "neither unet/diffusion_pytorch_model.safetensors nor unet/diffusion_pytorch_model.bin"},
      {"unet/config.json", "neither unet/config.json nor config.json"}};
  for (const auto& [file, message] : cases) {
    fs::rename(root_ / file, scratch_ / "kept");
    ExpectRefused(absl::StatusCode::kNotFound, "", message);
    fs::rename(scratch_ / "kept", root_ / file);
  }
  EXPECT_TRUE(Open().ok());
  EXPECT_EQ(Checkpoint::Open(scratch_ / "absent").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CheckpointOnDiskTest, NamesTheDamagedFile) {
  for (const char* file :
       {"model_index.json", "unet/config.json", "scheduler/scheduler_config.json",
        "generation_config.json", "unet/diffusion_pytorch_model.safetensors"}) {
    const fs::path path = root_ / file;
    const std::string whole = fs::exists(path) ? ReadWholeFile(path) : "{}";
    WriteWholeFile(path, whole.substr(0, whole.size() / 2));
    ExpectRefused(absl::StatusCode::kInvalidArgument, file, "");
    WriteWholeFile(path, "");
    ExpectRefused(absl::StatusCode::kInvalidArgument, file, "");
    fs::remove(path);
    fs::create_directory(path);
    ExpectRefused(absl::StatusCode::kInvalidArgument, file, "not a regular file");
    fs::remove(path);
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    ExpectRefused(absl::StatusCode::kInvalidArgument, file, "not a regular file");
    fs::remove(path);
    WriteWholeFile(path, whole);
    ASSERT_TRUE(Open().ok()) << file;
  }
}

TEST_F(CheckpointOnDiskTest, RefusesPartsThatDoNotFitTogether) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"num_class_embeds": 1})", "id2label names 2 classes, num_class_embeds allows 1"},
      {R"({"num_class_embeds": null})", "num_class_embeds allows 0"},
      {R"({"num_class_embeds": 2})", "null_class_id is 2, expected 0 or more and less than"}};
  for (const auto& [change, message] : cases) {
    Change("unet/config.json", change);
    ExpectRefused(absl::StatusCode::kInvalidArgument, "", message);
  }
}

TEST_F(CheckpointOnDiskTest, CheckTensorsNamesTheWeightsFile) {
  const absl::StatusOr<Checkpoint> checkpoint = Open();
  const absl::Status status = checkpoint->weights().Check({{"conv_in.bias", {3}}});
  EXPECT_THAT(std::string(status.message()),
              HasSubstr((root_ / "unet/diffusion_pytorch_model.safetensors").string()));
  EXPECT_THAT(std::string(status.message()), HasSubstr("'conv_in.bias' (expected [3], found [2])"));
}

TEST_F(CheckpointOnDiskTest, MovingACheckpointKeepsItsViews) {
  absl::StatusOr<Checkpoint> opened = Open();
  const Checkpoint moved = *std::move(opened);
  EXPECT_TRUE(SameTensors(moved.tensors(), tensors_.views()));
}

// What people have in place of a checkpoint, and what they are told.
TEST(DiffusersDirectoryTest, WhatLiesThereInsteadIsNamed) {
  ScratchDirectory scratch;
  const fs::path golden = ShippedGoldenDirectory() / "unet/mnist_noattn";
  const std::string weights = "unet/diffusion_pytorch_model.safetensors";
  const auto write = [](const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  };
  struct Case {
    std::function<void(const fs::path&)> make;
    const char* message;
    const char* opened = "";  // In the directory.
  };
  const Case cases[] = {
      {[&](const fs::path& to) {
         fs::rename(to / weights, to / "unet/diffusion_pytorch_model.fp16.safetensors");
       },
       "it holds the variant 'diffusion_pytorch_model.fp16.safetensors': copy it to "
       "diffusion_pytorch_model.safetensors"},
      {[&](const fs::path& to) {
         fs::rename(to / weights, to / "unet/diffusion_pytorch_model-00001-of-00002.safetensors");
       },
       "weights in pieces: save them in one"},
      {[&](const fs::path& to) { fs::rename(to / weights, to / "unet/model.ckpt"); },
       "it holds 'config.json', 'model.ckpt'"},
      {[&](const fs::path& to) {
         write(to / weights, "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n");
       },
       "fetch them by `git lfs pull`"},
      {[&](const fs::path& to) { write(to / weights, "<!DOCTYPE html>"); }, "is a page of HTML"},
      {[&](const fs::path& to) { fs::remove(to / "model_index.json"); }, "has no model_index.json"},
      {[&](const fs::path& to) {
         fs::rename(to, to.string() + "-moved");
         fs::create_directories(to);
         fs::rename(to.string() + "-moved", to / "checkpoint");
       },
       "its folder 'checkpoint' is one: name that"},
      {[&](const fs::path& to) {
         fs::remove_all(to / "unet");
         fs::create_symlink("../blobs/d5a1", to / "unet");
       },
       "unet: is a link to what is not there"},
      {[&](const fs::path& to) {
         fs::remove(to / weights);
         fs::create_symlink("../../blobs/77aa", to / weights);
       },
       "unet/diffusion_pytorch_model.safetensors: is a link to what is not there"},
      {[&](const fs::path& to) {
         fs::remove_all(to / "unet");
         fs::create_symlink("unet", to / "unet");
       },
       "unet/config.json: cannot open: Too many levels of symbolic links"},
      {[&](const fs::path& to) { fs::remove_all(to), write(to / "anything.safetensors", "x"); },
       "it holds 'anything.safetensors'; such a file says nothing of the network: convert it"},
      {[&](const fs::path& to) { fs::remove_all(to), fs::create_directories(to); }, "it is empty"},
      {[&](const fs::path& to) { write(to / "a.ckpt", "x"); },
       "is a file; a checkpoint is a directory", "a.ckpt"},
      {[&](const fs::path&) {}, "No such file or directory", "nowhere"},
  };
  int number = 0;
  for (const Case& c : cases) {
    const fs::path to = scratch / std::to_string(number++);
    fs::copy(golden, to, fs::copy_options::recursive);
    c.make(to);
    const absl::Status status = Checkpoint::Open(*c.opened == 0 ? to : to / c.opened).status();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
  }
}

}  // namespace
}  // namespace diffusiond
