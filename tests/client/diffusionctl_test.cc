// The commands as a person types them, against a server in this process.
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/flags/reflection.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/commands/commands.h"
#include "client/picture_receipt.h"
#include "client/saved_receipt.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "model/imaging/png.h"
#include "tests/client/diffusionctl_fixture.h"
#include "tests/client/fake_diffusion_service.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(DiffusionctlTest, ExplainsItselfWithExamples) {
  EXPECT_EQ(Run({}), kExitOk);
  EXPECT_THAT(out(), HasSubstr("diffusionctl generate --class=sneaker"));
  const std::string usage = out();
  EXPECT_EQ(Run({"help"}), kExitOk);
  EXPECT_EQ(out(), usage);
  EXPECT_EQ(Run({"help", "generate"}), kExitOk);
  EXPECT_THAT(out(), HasSubstr("--steps=1..100000"));
  const std::string help = out();
  EXPECT_EQ(Run({"generate", "--help"}), kExitOk);
  EXPECT_EQ(out(), help);
}

TEST_F(DiffusionctlTest, EveryFlagThatACommandNamesExists) {
  for (const Command& command : AllCommands()) {
    for (const std::string& flag : command.flags) {
      EXPECT_NE(absl::FindCommandLineFlag(flag), nullptr) << command.name << " --" << flag;
    }
  }
}

struct WrongLine {
  const char* name;
  std::vector<std::string> arguments;
  const char* hint;
};

class WrongLineTest : public DiffusionctlTest, public testing::WithParamInterface<WrongLine> {};

TEST_P(WrongLineTest, EndsWith2AndAHint) {
  EXPECT_EQ(Run(GetParam().arguments), kExitUsage);
  EXPECT_THAT(err(), HasSubstr(GetParam().hint));
  EXPECT_THAT(out(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Lines, WrongLineTest,
    testing::Values(
        WrongLine{"UnknownCommand", {"generat"}, "did you mean 'generate'?"},
        WrongLine{"NothingLikeIt", {"xyzzy"}, "unknown command 'xyzzy'"},
        WrongLine{"UnknownFlag", {"generate", "--stpes=4"}, "did you mean --steps?"},
        WrongLine{"AnothersFlag", {"models", "--steps=4"}, "unknown flag --steps"},
        WrongLine{"ShortFlag", {"generate", "-n", "4"}, "unknown flag --n; did you mean --count?"},
        WrongLine{"NameOfAnother", {"generate", "--cfg=4"}, "did you mean --guidance_scale?"},
        WrongLine{"PortAlone", {"models", "--port=50051"}, "did you mean --server?"},
        WrongLine{"NothingLikeThatFlag", {"models", "--cfg=4"}, "unknown flag --cfg\n"},
        WrongLine{"NoFit", {"generate", "--fit=stretch"}, "'stretch', expected exact, cover or"},
        WrongLine{"NotANumber", {"generate", "--steps=many"}, "'many'"},
        WrongLine{"OutOfRange", {"generate", "--steps=-1"}, "--steps: -1 is not in 1 .. 100000\n"},
        WrongLine{"WrapsAround", {"generate", "--steps=4294967298"}, "--steps: 4294967298 is not"},
        WrongLine{"NoWord", {"generate", "--variance=x"}, "--variance: \"x\" is not one of"},
        WrongLine{"NegativeNumber", {"generate", "--count=-1"}, "'-1'"},
        WrongLine{"NoValue", {"generate", "--steps"}, "--steps needs a value"},
        WrongLine{"NoSwitch", {"generate", "--nosteps"}, "unknown flag --nosteps"},
        WrongLine{"NoSpan", {"generate", "--deadline=soon"}, "'soon' is not a value"},
        WrongLine{"NegativeSpan", {"generate", "--deadline=-3"}, "'-3'"},
        WrongLine{
            "NoTime", {"generate", "--deadline=0"}, "takes: expected a length of time above 0"},
        WrongLine{"NoPicture", {"generate", "--out=a.GIF"}, "--out=a.GIF: expected FILE.png"},
        WrongLine{"NoPngSheet", {"generate", "--sheet=a.jpg"}, "--sheet=a.jpg: it is a PNG file"},
        WrongLine{"NoPngStrip", {"generate", "--strip=a"}, "--strip=a: it is a PNG file"},
        WrongLine{"UnknownPreview", {"generate", "--preview=x1"}, "x_t, x0 or both"},
        WrongLine{"UnknownPriority", {"generate", "--priority=top"}, "high, normal or low"},
        WrongLine{"UnknownFormat", {"generate", "--format=gif"}, "'gif'"},
        WrongLine{"TwoFormats", {"generate", "--format=png", "--out=a.webp"}, "does not go with"},
        WrongLine{"ManyToStandardOutput", {"generate", "--out=-", "--count=2"}, "not --count=2"},
        WrongLine{"TextToStandardOutput", {"generate", "--out=-", "--json"}, "nothing else"},
        WrongLine{"ArgumentTooMany", {"generate", "sneaker"}, "'sneaker'"},
        WrongLine{"ArgumentMissing", {"replay"}, "IMAGE|RECEIPT"}),
    [](const auto& info) { return info.param.name; });

TEST_F(DiffusionctlTest, GenerateSavesImagesAndReceipt) {
  const auto events = TinyStream(2, 10);
  Serve({.events = events, .models = {TinyModel()}});
  ASSERT_EQ(Run({"generate", "--out", directory_.string()}), kExitOk) << err();
  EXPECT_THAT(Files(), ElementsAre("tiny-t-shirt-top-7-0.png", "tiny-t-shirt-top-7-1.png",
                                   "tiny-t-shirt-top-7.json"));
  const auto image = ReadReceipt(Path("tiny-t-shirt-top-7-1.png"));
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->picture, events[events.size() - 2].image().data());
  const auto saved = ReadReceipt(Path("tiny-t-shirt-top-7.json"));
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_EQ(saved->receipt.image_sha256_size(), 2);
  EXPECT_THAT(err(), HasSubstr("100 %")) << "progress is no result";
  EXPECT_THAT(out(), Not(HasSubstr("100 %")));
  EXPECT_THAT(out(), HasSubstr("tiny-t-shirt-top-7-0.png"));
  EXPECT_THAT(out() + err(), Not(HasSubstr("\x1b")));
}

TEST_F(DiffusionctlTest, GenerateAsksForWhatTheFlagsSay) {
  Serve({.events = TinyStream(1, 1)});
  ASSERT_EQ(Run({"generate", "--out=" + Path("one.webp"), "--class=T-shirt/top", "--seed=9",
                 "--steps=25", "--sampler=ddim", "--eta=0.25", "--guidance_scale=1.5",
                 "--guidance_sigma_min=0.5", "--guidance_sigma_max=9", "--guidance_rescale=0.25",
                 "--variance=zero", "--timestep_spacing=trailing", "--noclip-sample",
                 "--preview_every=5", "--preview=x_t", "--priority=high", "--tenant=studio"}),
            kExitOk)
      << err();
  const v1::GenerateRequest request = *server_->last_request();
  EXPECT_EQ(request.class_name(), "T-shirt/top");
  EXPECT_EQ(request.count(), 1u);
  EXPECT_EQ(request.seed(), 9u);
  EXPECT_EQ(request.sampling().steps(), 25u);
  EXPECT_EQ(request.sampling().sampler(), "ddim");
  EXPECT_EQ(request.sampling().eta(), 0.25f);
  EXPECT_EQ(request.sampling().guidance_scale(), 1.5f);
  EXPECT_EQ(request.sampling().guidance_sigma_min(), 0.5f);
  EXPECT_EQ(request.sampling().guidance_sigma_max(), 9.0f);
  EXPECT_EQ(request.sampling().guidance_rescale(), 0.25f);
  EXPECT_EQ(request.sampling().variance(), "zero");
  EXPECT_EQ(request.sampling().timestep_spacing(), "trailing");
  EXPECT_TRUE(request.sampling().has_clip_sample());
  EXPECT_FALSE(request.sampling().clip_sample());
  EXPECT_EQ(request.preview().every_steps(), 5u);
  EXPECT_EQ(request.preview().kind(), v1::PREVIEW_KIND_X_T);
  EXPECT_EQ(request.format(), v1::IMAGE_FORMAT_WEBP);
  EXPECT_EQ(request.priority(), v1::PRIORITY_HIGH);
  EXPECT_EQ(server_->calls().back().tenant, "studio");
}

TEST_F(DiffusionctlTest, GenerateTellsWhatTheServerWarnsOf) {
  auto events = TinyStream(1, 1);
  events[0].mutable_accepted()->add_warnings("few steps \x1b");
  Serve({.events = events, .models = {TinyModel()}});
  const std::string out_flag = "--out=" + Path("a.png");
  EXPECT_EQ(Run({"generate", "--fit=cover", out_flag}), kExitOk) << err();
  EXPECT_THAT(err(), HasSubstr("warning: few steps \\x1b\n"));
  EXPECT_EQ(server_->last_request()->picture_fit(), v1::PICTURE_FIT_COVER);
  EXPECT_EQ(Run({"generate", "--quiet", "--picture_fit=contain", out_flag}), kExitOk) << err();
  EXPECT_THAT(err(), IsEmpty());
  EXPECT_EQ(server_->last_request()->picture_fit(), v1::PICTURE_FIT_CONTAIN);
}

TEST_F(DiffusionctlTest, GenerateLeavesTheRestToTheServer) {
  Serve({.events = TinyStream(4, 1)});
  ASSERT_EQ(Run({"generate", "--out=" + directory_.string(), "--class=3"}), kExitOk) << err();
  const v1::GenerateRequest request = *server_->last_request();
  EXPECT_EQ(request.count(), 4u);
  EXPECT_EQ(request.class_id(), 3u);
  EXPECT_FALSE(request.has_seed());
  EXPECT_FALSE(request.sampling().has_steps());
  EXPECT_FALSE(request.sampling().has_eta());
  EXPECT_FALSE(request.sampling().has_guidance_scale());
  EXPECT_FALSE(request.sampling().has_clip_sample());
  EXPECT_FALSE(request.has_preview());
}

TEST_F(DiffusionctlTest, GenerateTakesAClassAsFileNamesSpellIt) {
  Serve({.events = TinyStream(4, 1), .models = {TinyModel()}});
  for (const char* name : {"t-shirt-top", "T_SHIRT_TOP", "T-shirt/top"}) {
    ASSERT_EQ(Run({"generate", "--out=" + directory_.string(), "--class", name}), kExitOk) << err();
    EXPECT_EQ(server_->last_request()->class_name(), "T-shirt/top");
  }
  ASSERT_EQ(Run({"generate", "--out=" + directory_.string(), "--class=hat"}), kExitOk) << err();
  EXPECT_EQ(server_->last_request()->class_name(), "hat");
}

TEST_F(DiffusionctlTest, GenerateOnATerminalAsksForTwentyPreviews) {
  terminal_.interactive = true;
  Serve({.events = TinyStream(1, 2), .models = {TinyModel()}});
  ASSERT_EQ(Run({"generate", "--out=" + directory_.string()}), kExitOk) << err();
  EXPECT_EQ(server_->last_request()->preview().every_steps(), 2u);  // Of 40 by default.
  EXPECT_EQ(server_->last_request()->preview().kind(), v1::PREVIEW_KIND_BOTH);
  EXPECT_THAT(err(), StartsWith("\x1b[?25l"));
  EXPECT_THAT(err(), HasSubstr(kRestoreTerminal));
  EXPECT_THAT(out(), Not(HasSubstr("\x1b")));
}

TEST_F(DiffusionctlTest, GenerateDrawsSheetAndStrip) {
  Serve({.events = TinyStream(2, 6), .models = {TinyModel()}});
  ASSERT_EQ(Run({"generate", "--out=" + directory_.string(), "--sheet=" + Path("sheet.png"),
                 "--strip=" + Path("strip.png"), "--receipt=none", "--nolabels", "--quiet"}),
            kExitOk)
      << err();
  EXPECT_EQ(server_->last_request()->preview().every_steps(), 4u);
  const auto sheet = DecodePng(Contents("sheet.png"));
  ASSERT_TRUE(sheet.ok()) << sheet.status();
  EXPECT_EQ(sheet->width, 2 * 84 + 3 * 4);
  const auto strip = DecodePng(Contents("strip.png"));
  ASSERT_TRUE(strip.ok()) << strip.status();
  // Five previews, not the sixth, which is the image, and the image; two rows for each of two.
  EXPECT_EQ(strip->width, 6 * 84 + 7 * 4);
  EXPECT_EQ(strip->height, 4 * 84 + 5 * 4);
  EXPECT_THAT(Files(), Not(testing::Contains("tiny-t-shirt-top-7.json")));
  EXPECT_THAT(out(), IsEmpty());
  ASSERT_EQ(Run({"generate", "--out=" + directory_.string(), "--sheet=" + Path("sheet.png"),
                 "--strip=" + Path("strip.png"), "--quiet"}),
            kExitOk)
      << err();
  EXPECT_GT(DecodePng(Contents("sheet.png"))->height, sheet->height) << "with labels";
  EXPECT_GT(DecodePng(Contents("strip.png"))->height, strip->height);
}

TEST_F(DiffusionctlTest, GenerateWritesAnImageToStandardOutputAndNothingElse) {
  const auto events = TinyStream(1, 2);
  Serve({.events = events, .models = {TinyModel()}});
  ASSERT_EQ(Run({"generate", "--out=-"}), kExitOk) << err();
  EXPECT_EQ(server_->last_request()->count(), 1u);
  EXPECT_EQ(TakeReceipt(out())->picture, events[events.size() - 2].image().data());
  ASSERT_EQ(Run({"generate", "--out=-", "--noembed_receipt"}), kExitOk) << err();
  EXPECT_EQ(out(), events[events.size() - 2].image().data());
  EXPECT_THAT(err(), HasSubstr("time "));
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(DiffusionctlTest, GenerateTellsOfDamagedBytesAndKeepsTheRest) {
  auto events = TinyStream(2, 1);
  events[events.size() - 2].mutable_image()->mutable_data()->push_back('x');
  Serve({.events = events});
  EXPECT_EQ(Run({"generate", "--out=" + directory_.string()}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("DATA_LOSS: image 1"));
  EXPECT_THAT(Files(), ElementsAre("tiny-t-shirt-top-7-0.png"));
}

TEST_F(DiffusionctlTest, GenerateTellsEveryWrongField) {
  google::rpc::BadRequest bad_request;
  for (const char* field : {"sampling.steps", "preview.every_steps", "class_name"}) {
    auto* violation = bad_request.add_field_violations();
    violation->set_field(field);
    violation->set_description("is wrong");
  }
  google::rpc::Status details;
  details.add_details()->PackFrom(bad_request);
  Serve({.status = {grpc::StatusCode::INVALID_ARGUMENT, "3 wrong", details.SerializeAsString()},
         .models = {TinyModel()}});
  EXPECT_EQ(Run({"generate", "--out=" + directory_.string()}), kExitFailed);
  EXPECT_EQ(err(),
            "diffusionctl: INVALID_ARGUMENT: 3 wrong\n  --steps: is wrong\n"
            "  --preview_every: is wrong\n  --class: is wrong\n");
  EXPECT_EQ(Run({"grid", "--x=steps:1,2", "--out=" + Path("g.png")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("steps=1: 3 wrong\n  --steps: is wrong\n"));
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(DiffusionctlTest, GenerateTellsOfAStreamWithoutEnd) {
  auto events = TinyStream(1, 1);
  events.pop_back();
  Serve({.events = events});
  EXPECT_EQ(Run({"generate", "--out=" + directory_.string()}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("without Completed"));
}

TEST_F(DiffusionctlTest, GenerateTellsWhichFileCannotBeWritten) {
  fs::create_directories(directory_);
  std::ofstream(directory_ / "file") << "x";
  Serve({.events = TinyStream(1, 1), .models = {TinyModel()}});
  const std::pair<std::vector<std::string>, std::string> kPlaces[] = {
      {{"generate", "--out=" + Path("file/below")},
       "--out: cannot make the directory " + Path("file/below")},
      {{"generate", "--out=" + Path("file/below/a.png")},
       "--out: cannot make the directory " + Path("file/below")},
      {{"generate", "--out=/proc"}, "--out: cannot write into the directory /proc"},
      {{"generate", "--count=2", "--out=/proc/a.png"},
       "--out: cannot write into the directory /proc"},
      {{"generate", "--sheet=/proc/s.png"}, "--sheet: cannot write into the directory /proc"},
      {{"generate", "--strip=/proc/s.png"}, "--strip: cannot write into the directory /proc"},
      {{"generate", "--receipt=/proc"}, "--receipt: cannot write /proc: Is a directory"},
      {{"grid", "--x=steps:1,2", "--out=/proc/g.png"},
       "--out: cannot write into the directory /proc"}};
  for (const auto& [arguments, says] : kPlaces) {
    EXPECT_EQ(Run(arguments), kExitFailed);
    EXPECT_THAT(err(), HasSubstr(says));
  }
  EXPECT_THAT(server_->calls(), IsEmpty()) << "something was drawn that nobody gets";
  EXPECT_THAT(Files(), ElementsAre("file"));
}

TEST_F(DiffusionctlTest, GenerateEndsTheCallWhenAnImageCannotBeWritten) {
  auto events = TinyStream(1, 1);
  events.pop_back();
  // It could be written to when the call began.
  const auto spoil = [this] {
    fs::remove_all(directory_ / "drawn");
    std::ofstream(directory_ / "drawn") << "x";
  };
  Serve({.events = events, .wait_for_cancel = true, .on_generate = spoil});
  EXPECT_EQ(Run({"generate", "--deadline=60", "--out=" + Path("drawn")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr(Path("drawn")));
  EXPECT_THAT(err(), Not(HasSubstr("DEADLINE_EXCEEDED")));
}

TEST_F(DiffusionctlTest, InterruptionCancelsTheCallAndGivesTheTerminalBack) {
  auto events = TinyStream(1, 3);
  events.resize(4);
  Serve({.events = events, .wait_for_cancel = true, .models = {TinyModel()}});
  terminal_.interactive = true;
  now_ = [now = absl::UnixEpoch()]() mutable { return now += absl::Seconds(1); };
  // As Ctrl-C after the first frame was drawn.
  on_terminal_ = [this] {
    if (!err().empty()) cancellation_->Cancel();
  };
  EXPECT_EQ(Run({"generate", "--out=" + directory_.string()}), kExitInterrupted);
  EXPECT_THAT(err(), HasSubstr(absl::StrCat(kRestoreTerminal, "diffusionctl: interrupted")));
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(DiffusionctlTest, ATenantThatMetadataCannotCarryIsToldOf) {
  Serve({.models = {TinyModel()}});
  for (const std::string& tenant : {std::string("h\xc3\xa4ns"), std::string(129, 'a')}) {
    EXPECT_EQ(Run({"models", "--tenant=" + tenant}), kExitFailed);
    EXPECT_THAT(err(), HasSubstr("INVALID_ARGUMENT: --tenant is \""));
    EXPECT_THAT(err(), HasSubstr("expected at most 128 printable ASCII characters"));
  }
  EXPECT_EQ(Run({"models", "--tenant=two words"}), kExitOk) << err();
}

TEST_F(DiffusionctlTest, TellsWhatAStartingFileIsThatCannotBeRead) {
  Serve({});
  const std::pair<std::string, const char*> kFiles[] = {
      {"/dev/null", "--init_image: /dev/null is empty\n"},
      {"/proc/self", "--init_image: cannot read /proc/self: Is a directory\n"},
      {"/nowhere/a.png", "--init_image: cannot read /nowhere/a.png: No such file or directory\n"}};
  for (const auto& [path, says] : kFiles) {
    errno = ENOTTY;  // As many a library leaves it behind.
    EXPECT_EQ(Run({"generate", "--init_image=" + path}), kExitUsage);
    EXPECT_THAT(err(), HasSubstr(says));
  }
}

TEST_F(DiffusionctlTest, SaysHowToStartAServerWhenThereIsNone) {
  for (const char* command : {"generate", "models", "samplers", "health"}) {
    EXPECT_EQ(Run({command, "--server=127.0.0.1:1"}), kExitFailed);
    EXPECT_THAT(err(), HasSubstr("127.0.0.1:1: Connection refused"));
    EXPECT_THAT(err(), HasSubstr("diffusiond --model_repository=DIR --listen=127.0.0.1:1"));
  }
}

TEST_F(DiffusionctlTest, HealthAnswersByExitCode) {
  Serve({});
  EXPECT_EQ(Run({"health"}), kExitOk);
  EXPECT_EQ(out(), "serving\n");
  Serve({.health = grpc::health::v1::HealthCheckResponse::NOT_SERVING});
  EXPECT_EQ(Run({"health"}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("NOT_SERVING"));
}

TEST_F(DiffusionctlTest, HealthAsksForTheServiceThatIsNamed) {
  Serve({.health = grpc::health::v1::HealthCheckResponse::NOT_SERVING});
  EXPECT_EQ(Run({"health", "--service=liveness"}), kExitOk) << err();
  EXPECT_EQ(Run({"health", "--service=other"}), kExitFailed);
}

TEST_F(DiffusionctlTest, HealthWaitsUntilTheServerServes) {
  Serve({.checks_before_health = 1});
  EXPECT_EQ(Run({"health", "--wait=60"}), kExitOk) << err();
}

}  // namespace
}  // namespace diffusiond
