// Images of a longer request: drawn by themselves, and more than one request may ask for.
#include <string>
#include <utility>
#include <vector>

#include "client/generate_in_parts.h"
#include "client/receipt_file.h"
#include "client/saved_receipt.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/diffusionctl_fixture.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<v1::GenerateEvent> StreamFor(const v1::GenerateRequest& request) {
  return TinyStream(request.count(), 2, request.first_image_index());
}

class PartsTest : public DiffusionctlTest {
 protected:
  PartsTest() {
    v1::Model model = TinyModel();
    model.mutable_limits()->set_max_count(3);
    Serve({.events_for = StreamFor, .models = {model}});
  }
};

TEST_F(PartsTest, OneImageIsDrawnAgainAloneUnderItsOwnIndex) {
  ASSERT_EQ(Run({"generate", "--out=" + directory_.string(), "--seed=7", "--first_image_index=11",
                 "--count=1", "--strip=" + Path("strip.png")}),
            kExitOk)
      << err();
  EXPECT_EQ(server_->last_request()->first_image_index(), 11u);
  EXPECT_THAT(Files(),
              ElementsAre("strip.png", "tiny-t-shirt-top-7-11.png", "tiny-t-shirt-top-7.json"));
  const auto saved = ReadReceipt(Path("tiny-t-shirt-top-7.json"));
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_EQ(RequestFromReceipt(saved->receipt).first_image_index(), 11u);
  EXPECT_EQ(Run({"replay", Path("tiny-t-shirt-top-7.json")}), kExitOk) << err();
}

TEST_F(PartsTest, MoreThanTheServerDrawsAtOnceIsAskedForInParts) {
  ASSERT_EQ(Run({"generate", "--out=" + directory_.string(), "--count=8"}), kExitOk) << err();
  std::vector<std::pair<uint32_t, uint32_t>> asked;
  for (const FakeCall& call : server_->calls()) {
    asked.emplace_back(call.request.first_image_index(), call.request.count());
  }
  EXPECT_THAT(asked, ElementsAre(std::pair(0u, 3u), std::pair(3u, 3u), std::pair(6u, 2u)));
  EXPECT_FALSE(server_->calls()[0].request.has_seed());
  EXPECT_EQ(server_->calls()[2].request.seed(), 7u) << "the one drawn for the first";
  EXPECT_EQ(server_->calls()[2].request.model_digest(), TinyModel().digest());
  const auto saved = ReadReceipt(Path("tiny-t-shirt-top-7.json"));
  ASSERT_TRUE(saved.ok()) << saved.status();
  v1::Receipt whole = TinyStream(8, 2).back().completed().receipt();
  EXPECT_EQ(saved->receipt.SerializeAsString(), whole.SerializeAsString()) << "as of one request";
  EXPECT_EQ(Files().size(), 9u);
  EXPECT_THAT(err(), HasSubstr("8 images"));
  EXPECT_THAT(err(), HasSubstr("100 %"));
  EXPECT_EQ(Run({"replay", Path("tiny-t-shirt-top-7.json")}), kExitOk) << err();
  EXPECT_THAT(out(), HasSubstr("identical: 8 images"));
}

TEST_F(PartsTest, AMorphIsNotDivided) {
  ASSERT_EQ(Run({"generate", "--out=" + directory_.string(), "--count=8", "--morph_seed=4"}),
            kExitOk)
      << err();
  EXPECT_EQ(server_->calls().size(), 1u);
}

TEST_F(PartsTest, ADeadlineThatPassesInAPartIsThatOfTheWhole) {
  Serve({.events_for =
             [](const v1::GenerateRequest& request) {
               auto events = StreamFor(request);
               if (request.first_image_index() == 3) {
                 events.pop_back();
                 events.pop_back();  // Its last image.
               }
               return events;
             },
         .status_for =
             [](const v1::GenerateRequest& request) {
               return request.first_image_index() == 3
                          ? grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "Deadline Exceeded")
                          : grpc::Status::OK;
             }});
  const auto client = DiffusionClient::Connect(server_->target(), {}).value();
  v1::GenerateRequest request;
  request.set_count(8);
  const auto completed = GenerateInParts(*client, request, 3, {}, {.timeout = absl::Hours(2)});
  EXPECT_EQ(completed.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(completed.status().message(), "not finished within 2h: 5 of 8 images were drawn");
}

TEST_F(PartsTest, PartsOfDifferentServersAreNoWhole) {
  Serve({.events_for =
             [](const v1::GenerateRequest& request) {
               auto events = StreamFor(request);
               if (request.first_image_index() == 0) return events;
               events.back()
                   .mutable_completed()
                   ->mutable_receipt()
                   ->mutable_numerics()
                   ->set_device_kind("other");
               return events;
             },
         .models = {TinyModel()}});
  const auto client = DiffusionClient::Connect(server_->target(), {}).value();
  v1::GenerateRequest request;
  request.set_count(4);
  const auto completed = GenerateInParts(*client, request, 3, {});
  EXPECT_EQ(completed.status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace diffusiond
