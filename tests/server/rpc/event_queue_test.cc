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

v1::Progress ProgressOf(uint32_t image, uint32_t steps) {
  v1::Progress progress;
  progress.set_image_index(image);
  progress.set_steps_done(steps);
  return progress;
}

v1::Preview PreviewOf(uint32_t image, uint32_t steps,
                      v1::PreviewKind kind = v1::PREVIEW_KIND_X0_HAT) {
  v1::Preview preview;
  preview.set_image_index(image);
  preview.set_steps_done(steps);
  preview.set_kind(kind);
  return preview;
}

v1::Image ImageOf(uint32_t image) {
  v1::Image message;
  message.set_image_index(image);
  return message;
}

// Everything that waits, as "progress 0 at 3", "x0 0 at 3", "xt 0 at 3", "image 0".
std::vector<std::string> PopAll(EventQueue& queue) {
  std::vector<std::string> names;
  while (auto event = queue.Pop()) {
    if (event->has_accepted()) names.push_back("accepted");
    if (event->has_completed()) names.push_back("completed");
    if (event->has_image()) names.push_back(absl::StrCat("image ", event->image().image_index()));
    if (event->has_progress()) {
      names.push_back(absl::StrCat("progress ", event->progress().image_index(), " at ",
                                   event->progress().steps_done()));
    }
    if (event->has_preview()) {
      const v1::Preview& preview = event->preview();
      names.push_back(absl::StrCat(preview.kind() == v1::PREVIEW_KIND_X_T ? "xt " : "x0 ",
                                   preview.image_index(), " at ", preview.steps_done()));
    }
  }
  return names;
}

TEST(EventQueue, IsFirstInFirstOutForAFastReader) {
  EventQueue queue;
  queue.Push(v1::Accepted());
  EXPECT_THAT(PopAll(queue), ElementsAre("accepted"));
  queue.Push(ProgressOf(0, 1));
  EXPECT_FALSE(queue.Push(PreviewOf(0, 1)));
  EXPECT_THAT(PopAll(queue), ElementsAre("progress 0 at 1", "x0 0 at 1"));
  queue.Push(ProgressOf(0, 2));
  queue.Push(ImageOf(0));
  queue.Push(v1::Completed());
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
  EXPECT_FALSE(queue.Push(PreviewOf(0, 1, v1::PREVIEW_KIND_X_T)));
  EXPECT_FALSE(queue.Push(PreviewOf(0, 1, v1::PREVIEW_KIND_X0_HAT)));
  EXPECT_FALSE(queue.Push(PreviewOf(1, 1, v1::PREVIEW_KIND_X_T)));
  EXPECT_THAT(PopAll(queue), ElementsAre("xt 0 at 1", "x0 0 at 1", "xt 1 at 1"));
}

TEST(EventQueue, OnlyTheNewestProgressOfAnImageWaits) {
  EventQueue queue;
  for (uint32_t step = 1; step <= 9; ++step) {
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
  for (uint32_t image = 0; image < 3; ++image) {
    queue.Push(PreviewOf(image, 1));
    queue.Push(ImageOf(image));
  }
  queue.Push(v1::Completed());
  EXPECT_THAT(PopAll(queue), ElementsAre("x0 0 at 1", "image 0", "x0 1 at 1", "image 1",
                                         "x0 2 at 1", "image 2", "completed"));
}

TEST(EventQueue, AfterClearSlotsCanBeFilledAgain) {
  EventQueue queue;
  queue.Push(PreviewOf(0, 1));
  queue.Push(v1::Completed());
  queue.Clear();
  EXPECT_TRUE(queue.empty());
  EXPECT_FALSE(queue.Push(PreviewOf(0, 2)));
  EXPECT_THAT(PopAll(queue), ElementsAre("x0 0 at 2"));
}

}  // namespace
}  // namespace diffusiond
