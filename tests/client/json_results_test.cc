// What commands print for programs.
#include <filesystem>
#include <fstream>
#include <string>

#include "client/receipt_file.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/client/diffusionctl_fixture.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

class JsonResultsTest : public DiffusionctlTest {
 protected:
  // Of the whole standard output.
  Json Result() const { return Json::parse(out()); }
};

TEST_F(JsonResultsTest, ModelsAndSamplersAreTheApiSMessages) {
  Serve({.models = {TinyModel()}});
  ASSERT_EQ(Run({"models", "--json"}), kExitOk) << err();
  EXPECT_EQ(Result()["models"][0]["numParameters"], "1832961");
  for (const std::vector<std::string>& line : std::vector<std::vector<std::string>>{
           {"models", "tiny", "--json"}, {"samplers", "--json"}}) {
    ASSERT_EQ(Run(line), kExitOk) << err();
    EXPECT_EQ(Result()["samplers"][1]["name"], "ddim");
    EXPECT_EQ(Result()["hasClassifier"], false) << "what is unset is there too";
    v1::Model again;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(out(), &again).ok());
    EXPECT_EQ(again.SerializeAsString(), TinyModel().SerializeAsString());
  }
}

TEST_F(JsonResultsTest, HealthSaysTheStatusAlsoOfAServerThatDoesNotServe) {
  Serve({});
  EXPECT_EQ(Run({"health", "--json"}), kExitOk);
  EXPECT_EQ(Result(), Json({{"status", "SERVING"}}));
  Serve({.health = grpc::health::v1::HealthCheckResponse::NOT_SERVING});
  EXPECT_EQ(Run({"health", "--json"}), kExitFailed);
  EXPECT_EQ(Result(), Json({{"status", "NOT_SERVING"}}));
  server_.reset();
  EXPECT_EQ(Run({"health", "--json", "--server=127.0.0.1:1"}), kExitFailed);
  EXPECT_EQ(Result(), Json({{"status", "UNKNOWN"}}));
}

TEST_F(JsonResultsTest, GenerateSaysFilesReceiptAndTimings) {
  auto events = TinyStream(2, 1);
  events[0].mutable_accepted()->add_warnings("few steps");
  Serve({.events = events, .models = {TinyModel()}});
  ASSERT_EQ(
      Run({"generate", "--json", "--out=" + directory_.string(), "--sheet=" + Path("sheet.png")}),
      kExitOk)
      << err();
  const Json result = Result();
  ASSERT_EQ(result["images"].size(), 2u);
  EXPECT_EQ(result["images"][1]["imageIndex"], 1);
  EXPECT_EQ(result["images"][1]["path"], Path("tiny-t-shirt-top-7-1.png"));
  EXPECT_EQ(result["images"][1]["sha256"], events[events.size() - 2].image().sha256());
  EXPECT_EQ(result["files"],
            Json({{"receipt", Path("tiny-t-shirt-top-7.json")}, {"sheet", Path("sheet.png")}}));
  EXPECT_EQ(result["receipt"]["parameters"]["sampling"]["sampler"], "ddim");
  EXPECT_EQ(result["timings"]["compute"], "3s");
  EXPECT_EQ(result["warnings"], Json({"few steps"}));
  const auto receipt = ReceiptFromJson(result["receipt"].dump());
  ASSERT_TRUE(receipt.ok()) << receipt.status();
  EXPECT_THAT(err(), HasSubstr("100 %"));
}

TEST_F(JsonResultsTest, GridSaysTheValuesAndTheReceiptOfEachImage) {
  Serve({.events_for =
             [](const v1::GenerateRequest& request) {
               return TinyStream(1, request.sampling().steps());
             },
         .models = {TinyModel()}});
  ASSERT_EQ(Run({"grid", "--x=steps:2,3", "--y=sampler:ddim,ddpm", "--json",
                 "--out=" + Path("grid.png")}),
            kExitOk)
      << err();
  EXPECT_EQ(Result()["x"], Json({{"name", "steps"}, {"values", {"2", "3"}}}));
  EXPECT_EQ(Result()["y"]["name"], "sampler");
  EXPECT_EQ(Result()["files"], Json({{"grid", Path("grid.png")}}));
  ASSERT_EQ(Result()["images"].size(), 4u);
  const Json image = Result()["images"][1];
  EXPECT_EQ(image["x"], "3");
  EXPECT_EQ(image["y"], "ddim");
  EXPECT_EQ(Result()["images"][2]["y"], "ddpm");
  const auto receipt = ReceiptFromJson(image["receipt"].dump());
  ASSERT_TRUE(receipt.ok()) << receipt.status();
  EXPECT_EQ(receipt->parameters().sampling().steps(), 3u);
  EXPECT_EQ(receipt->image_sha256(0), image["sha256"]);
  EXPECT_THAT(err(), HasSubstr("4 of 4")) << "progress is no result";

  ASSERT_EQ(Run({"grid", "--x=seed:1", "--json", "--quiet", "--out=" + Path("row.png")}), kExitOk);
  EXPECT_EQ(Result()["y"], nullptr);
  EXPECT_EQ(Result()["images"][0]["y"], nullptr);
  EXPECT_EQ(Run({"grid", "--x=seed:1", "--json", "--out=-"}), kExitUsage);
  EXPECT_THAT(out(), IsEmpty());
}

TEST_F(JsonResultsTest, AFailureIsNoResult) {
  Serve({.status = {grpc::StatusCode::INVALID_ARGUMENT, "wrong"}});
  EXPECT_EQ(Run({"generate", "--json", "--out=" + directory_.string()}), kExitFailed);
  EXPECT_THAT(out(), IsEmpty());
  EXPECT_THAT(err(), HasSubstr("wrong"));
}

TEST_F(JsonResultsTest, ReplaySaysWhatDiffers) {
  Serve({.events = TinyStream(2, 3), .models = {TinyModel()}});
  v1::Receipt receipt = TinyStream(2, 3).back().completed().receipt();
  const auto replay = [&] {
    std::filesystem::create_directories(directory_);
    std::ofstream(directory_ / "receipt.json") << ReceiptToJson(receipt);
    return Run({"replay", "--json", Path("receipt.json")});
  };
  EXPECT_EQ(replay(), kExitOk) << err();
  EXPECT_EQ(Result()["identical"], true);
  EXPECT_EQ(Result()["differences"], Json::array());
  receipt.set_image_sha256(1, "abcd");
  receipt.mutable_numerics()->set_libtorch_version("2.5");
  EXPECT_EQ(replay(), kExitFailed);
  EXPECT_EQ(Result()["identical"], false);
  EXPECT_EQ(Result()["differences"][0], "libtorch_version: '2.5' then, '1.13.1' now");
  EXPECT_EQ(Result()["images"][1]["then"], "abcd");
}

}  // namespace
}  // namespace diffusiond
