#include "client/generate_event_checker.h"

#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_diffusion_service.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using Events = std::vector<v1::GenerateEvent>;

absl::Status CheckAll(const Events& events) {
  GenerateEventChecker checker;
  for (const v1::GenerateEvent& event : events) {
    absl::Status status = checker.Check(event);
    if (!status.ok()) return status;
  }
  return checker.CheckEnd();
}

// TinyStream(2, 2): 0 accepted; for each step and image: progress, x_t, x0_hat; then images, end.
constexpr size_t kFirstProgress = 1, kFirstPreview = 2, kFirstImage = 13, kCompleted = 15;

TEST(GenerateEventCheckerTest, AcceptsTheDocumentedOrder) {
  EXPECT_EQ(CheckAll(TinyStream(2, 2)), absl::OkStatus());
}

TEST(GenerateEventCheckerTest, IgnoresEventsOfANewerApi) {
  Events events = TinyStream(2, 2);
  events.insert(events.begin() + 3, v1::GenerateEvent());
  EXPECT_EQ(CheckAll(events), absl::OkStatus());
}

struct BrokenStream {
  const char* name;
  std::function<void(Events&)> damage;
  const char* message;
};

class BrokenStreamTest : public testing::TestWithParam<BrokenStream> {};

TEST_P(BrokenStreamTest, IsRefused) {
  Events events = TinyStream(2, 2);
  GetParam().damage(events);
  const absl::Status status = CheckAll(events);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Streams, BrokenStreamTest,
    testing::Values(
        BrokenStream{"NoAccepted", [](Events& e) { e.erase(e.begin()); },
                     "first event is not Accepted"},
        BrokenStream{"AcceptedTwice", [](Events& e) { e.insert(e.begin(), e[0]); },
                     "Accepted came twice"},
        BrokenStream{"NoImages",
                     [](Events& e) { e[0].mutable_accepted()->mutable_parameters()->set_count(0); },
                     "count 0"},
        BrokenStream{"ProgressGoesBack",
                     [](Events& e) {
                       e[kFirstProgress].mutable_progress()->set_steps_done(2);
                       e[7].mutable_progress()->set_steps_done(1);
                     },
                     "went back from step 2 to 1"},
        BrokenStream{"ProgressPastItsEnd",
                     [](Events& e) { e[kFirstProgress].mutable_progress()->set_steps_done(3); },
                     "step 3 of 2"},
        BrokenStream{"ProgressOfStepZero",
                     [](Events& e) { e[kFirstProgress].mutable_progress()->set_steps_done(0); },
                     "step 0 of 2"},
        BrokenStream{"TotalChanges",
                     [](Events& e) { e[kFirstProgress].mutable_progress()->set_steps_total(5); },
                     "step 2 of 2"},
        BrokenStream{"PreviewGoesBack",
                     [](Events& e) { e[kFirstPreview].mutable_preview()->set_steps_done(2); },
                     "Preview of image 0 went back"},
        BrokenStream{"UnknownImage",
                     [](Events& e) { e[kFirstPreview].mutable_preview()->set_image_index(2); },
                     "image 2 of a request for 2"},
        BrokenStream{"EventAfterImage",
                     [](Events& e) { e.insert(e.begin() + kFirstImage + 1, e[kFirstProgress]); },
                     "Progress for image 0 came after its Image"},
        BrokenStream{"ImageTwice",
                     [](Events& e) { e.insert(e.begin() + kFirstImage, e[kFirstImage]); },
                     "Image for image 0 came after its Image"},
        BrokenStream{"ImageMissing", [](Events& e) { e.erase(e.begin() + kFirstImage + 1); },
                     "before image 1"},
        BrokenStream{"NoDigest", [](Events& e) { e[kFirstImage].mutable_image()->clear_sha256(); },
                     "announced none"},
        BrokenStream{"ReceiptOfAnother",
                     [](Events& e) {
                       e[kCompleted].mutable_completed()->mutable_receipt()->set_request_id("x");
                     },
                     "receipt is for request 'x'"},
        BrokenStream{"ReceiptWithOtherHash",
                     [](Events& e) {
                       e[kCompleted].mutable_completed()->mutable_receipt()->set_image_sha256(1,
                                                                                              "00");
                     },
                     "SHA-256 00 for image 1"},
        BrokenStream{"ReceiptTooShort",
                     [](Events& e) {
                       e[kCompleted].mutable_completed()->mutable_receipt()->clear_image_sha256();
                     },
                     "receipt lists 0 images, 2 were drawn"},
        BrokenStream{"EventAfterCompleted", [](Events& e) { e.push_back(e[kFirstProgress]); },
                     "after Completed"},
        BrokenStream{"NoCompleted", [](Events& e) { e.pop_back(); }, "without Completed"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace diffusiond
