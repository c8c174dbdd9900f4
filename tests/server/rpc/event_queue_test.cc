#include "server/rpc/event_queue.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

StreamEvent::Progress ProgressOf(int image, int steps) { return {image, steps, 99}; }

StreamEvent::Preview PreviewOf(int image, int steps, PreviewContent kind = PreviewContent::kX0Hat) {
  return {image, steps, 0, kind, {}};
}

StreamEvent::FinalImage ImageOf(int image) { return {image, {}}; }

// "progress 0 at 3", "x0 0 at 3", "xt 0 at 3", "image 0".
struct Name {
  std::string operator()(const StreamEvent::Accepted&) const { return "accepted"; }
  std::string operator()(const StreamEvent::Progress& p) const {
    return absl::StrCat("progress ", p.image_index, " at ", p.steps_done);
  }
  std::string operator()(const StreamEvent::Preview& p) const {
    return absl::StrCat(p.kind == PreviewContent::kXt ? "xt " : "x0 ", p.image_index, " at ",
                        p.steps_done);
  }
  std::string operator()(const StreamEvent::FinalImage& i) const {
    return absl::StrCat("image ", i.image_index);
  }
  std::string operator()(const StreamEvent::Completed&) const { return "completed"; }
};

// Everything that waits.
std::vector<std::string> PopAll(EventQueue& queue) {
  std::vector<std::string> names;
  while (auto event = queue.Pop()) names.push_back(std::visit(Name(), event->what));
  return names;
}

TEST(EventQueue, IsFirstInFirstOutForAFastReader) {
  EventQueue queue;
  queue.Push(StreamEvent::Accepted());
  EXPECT_THAT(PopAll(queue), ElementsAre("accepted"));
  queue.Push(ProgressOf(0, 1));
  EXPECT_FALSE(queue.Push(PreviewOf(0, 1)));
  EXPECT_THAT(PopAll(queue), ElementsAre("progress 0 at 1", "x0 0 at 1"));
  queue.Push(ProgressOf(0, 2));
  queue.Push(ImageOf(0));
  queue.Push(StreamEvent::Completed());
  EXPECT_THAT(PopAll(queue), ElementsAre("progress 0 at 2", "image 0", "completed"));
}

TEST(EventQueue, ANewerPreviewReplacesTheOneThatWaits) {
  EventQueue queue;
  EXPECT_FALSE(queue.Push(PreviewOf(0, 1)));
  EXPECT_TRUE(queue.Push(PreviewOf(0, 2)));
  EXPECT_TRUE(queue.Push(PreviewOf(0, 3)));
  EXPECT_THAT(PopAll(queue), ElementsAre("x0 0 at 3"));
  EXPECT_FALSE(queue.Push(PreviewOf(0, 4)));
  EXPECT_THAT(PopAll(queue), ElementsAre("x0 0 at 4"));
}

TEST(EventQueue, PreviewsOfOtherImagesAndOtherKindsAreNotReplaced) {
  EventQueue queue;
  EXPECT_FALSE(queue.Push(PreviewOf(0, 1, PreviewContent::kXt)));
  EXPECT_FALSE(queue.Push(PreviewOf(0, 1, PreviewContent::kX0Hat)));
  EXPECT_FALSE(queue.Push(PreviewOf(1, 1, PreviewContent::kXt)));
  EXPECT_THAT(PopAll(queue), ElementsAre("xt 0 at 1", "x0 0 at 1", "xt 1 at 1"));
}

// Found by engine_simulation: a client of both kinds that reads slowly saw the x0_hat of step 1
// after the x_t of step 2, and took the server for broken.
TEST(EventQueue, PreviewsOfAnImageAreInOrderOfTheirStepsWhateverTheirKinds) {
  EventQueue queue;
  queue.Push(PreviewOf(0, 1, PreviewContent::kXt));
  queue.Push(PreviewOf(0, 1, PreviewContent::kX0Hat));
  EXPECT_TRUE(queue.Push(PreviewOf(0, 2, PreviewContent::kXt)));
  EXPECT_THAT(PopAll(queue), ElementsAre("x0 0 at 1", "xt 0 at 2"));
}

TEST(EventQueue, OnlyTheNewestProgressOfAnImageWaits) {
  EventQueue queue;
  for (int step = 1; step <= 9; ++step) {
    queue.Push(ProgressOf(0, step));
    queue.Push(ProgressOf(1, step));
  }
  EXPECT_THAT(PopAll(queue), ElementsAre("progress 0 at 9", "progress 1 at 9"));
}

TEST(EventQueue, NothingOfAnImageFollowsItsImage) {
  EventQueue queue;
  queue.Push(ImageOf(0));
  EXPECT_TRUE(queue.Push(PreviewOf(0, 9)));
  queue.Push(ProgressOf(0, 9));
  EXPECT_FALSE(queue.Push(PreviewOf(1, 9)));
  EXPECT_THAT(PopAll(queue), ElementsAre("image 0", "x0 1 at 9"));
  EXPECT_TRUE(queue.Push(PreviewOf(0, 10)));
  EXPECT_THAT(PopAll(queue), IsEmpty());
}

TEST(EventQueue, ImagesAreNeverReplaced) {
  EventQueue queue;
  for (int image = 0; image < 3; ++image) {
    queue.Push(PreviewOf(image, 1));
    queue.Push(ImageOf(image));
  }
  queue.Push(StreamEvent::Completed());
  EXPECT_THAT(PopAll(queue), ElementsAre("x0 0 at 1", "image 0", "x0 1 at 1", "image 1",
                                         "x0 2 at 1", "image 2", "completed"));
}

TEST(EventQueue, AfterClearSlotsCanBeFilledAgain) {
  EventQueue queue;
  queue.Push(PreviewOf(0, 1));
  queue.Push(StreamEvent::Completed());
  queue.Clear();
  EXPECT_TRUE(queue.empty());
  EXPECT_FALSE(queue.Push(PreviewOf(0, 2)));
  EXPECT_THAT(PopAll(queue), ElementsAre("x0 0 at 2"));
}

}  // namespace
}  // namespace diffusiond
