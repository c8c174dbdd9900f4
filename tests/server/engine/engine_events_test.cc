// What a listener hears, and when.
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/engine.h"
#include "tests/testing/stepped_engine.h"
#include "tests/testing/test_plans.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

GenerationSpec WithPreviews(GenerationSpec spec, int every_steps, PreviewContent content) {
  spec.preview_every_steps = every_steps;
  spec.preview_content = content;
  return spec;
}

TEST(EngineEvents, ComeInOrder) {
  SteppedEngine engine;
  auto listener =
      engine.Submit(WithPreviews(Images(1, 1, HalvingPlan(4)), 2, PreviewContent::kBoth));
  engine.StepAll();
  // None at step 4, although 2 divides it: there the image itself comes.
  EXPECT_THAT(listener->log(), ElementsAre("progress 0 1/4", "progress 0 2/4", "preview 0 2 x_t",
                                           "preview 0 2 x0_hat", "progress 0 3/4", "progress 0 4/4",
                                           "image 0", "finished OK"));
}

TEST(EngineEvents, OfTwoImagesEndWithOneFinished) {
  SteppedEngine engine;
  auto listener = engine.Submit(Images(2, 1, HalvingPlan(1)));
  engine.StepAll();
  EXPECT_THAT(listener->log_of(0), ElementsAre("progress 0 1/1", "image 0"));
  EXPECT_THAT(listener->log_of(1), ElementsAre("progress 1 1/1", "image 1"));
  EXPECT_THAT(listener->log(), SizeIs(5));
  EXPECT_EQ(listener->log().back(), "finished OK");
}

TEST(EngineEvents, CountStepsNotRows) {
  SteppedEngine engine;
  auto listener =
      engine.Submit(WithPreviews(Images(1, 1, TwoEvaluationPlan(3)), 1, PreviewContent::kXt));
  EXPECT_EQ(engine.StepAll(), 6);
  EXPECT_THAT(listener->log(),
              ElementsAre("progress 0 1/3", "preview 0 1 x_t", "progress 0 2/3", "preview 0 2 x_t",
                          "progress 0 3/3", "image 0", "finished OK"));
}

TEST(EngineEvents, AreCountedFromTheRequestNotFromTheSpec) {
  SteppedEngine engine;
  GenerationSpec spec = Images(1, 1, HalvingPlan(1));
  spec.trajectories[0].image_index = 7;  // As when one image of a request is drawn again.
  auto listener = engine.Submit(spec);
  engine.StepAll();
  EXPECT_THAT(listener->log(), ElementsAre("progress 0 1/1", "image 0", "finished OK"));
}

TEST(EnginePreviews, AskTheExecutorForWhatIsShownAndNoMore) {
  struct Case {
    PreviewContent content;
    bool x_t;
    bool x0_hat;
  };
  for (const Case& c :
       {Case{PreviewContent::kNone, false, false}, Case{PreviewContent::kXt, true, false},
        Case{PreviewContent::kX0Hat, false, true}, Case{PreviewContent::kBoth, true, true}}) {
    SteppedEngine engine;
    engine.Submit(WithPreviews(Images(1, 1, HalvingPlan(4)), 2, c.content));
    std::vector<SeenTask> rows;
    for (int i = 0; i < 4; ++i) rows.push_back(engine.Step().at(0));
    EXPECT_FALSE(rows[0].wants_x_t || rows[0].wants_x0_hat);
    EXPECT_EQ(rows[1].wants_x_t, c.x_t);
    EXPECT_EQ(rows[1].wants_x0_hat, c.x0_hat);
    EXPECT_FALSE(rows[2].wants_x_t || rows[2].wants_x0_hat);
    EXPECT_TRUE(rows[3].wants_x_t) << "the image";
    EXPECT_FALSE(rows[3].wants_x0_hat);
  }
}

TEST(EnginePreviews, CarryTheFramesAndTheTimestepTheyStandAt) {
  SteppedEngine engine;
  const GenerationSpec spec = WithPreviews(Images(1, 5, HalvingPlan(3)), 1, PreviewContent::kBoth);
  auto listener = engine.Submit(spec);
  engine.StepAll();

  // HalvingPlan on F = -x: x0-hat = -x, then x' = x / 4.
  const std::vector<float> image = listener->images().at(0).values;
  const auto times = [&image](float factor) {
    std::vector<float> values = image;
    for (float& value : values) value *= factor;
    return values;
  };
  const std::vector<RecordingListener::Shown> previews = listener->previews();
  ASSERT_EQ(previews.size(), 4u);
  EXPECT_EQ(previews[0].kind, PreviewContent::kXt);
  EXPECT_EQ(previews[0].timestep, 1);
  EXPECT_EQ(previews[0].frame.values, times(16));
  EXPECT_EQ(previews[1].kind, PreviewContent::kX0Hat);
  EXPECT_EQ(previews[1].frame.values, times(-64));
  EXPECT_EQ(previews[2].timestep, 0);
  EXPECT_EQ(previews[2].frame.values, times(4));
  EXPECT_EQ(previews[3].frame.values, times(-16));
}

TEST(EnginePreviews, DoNotChangeTheImage) {
  SteppedEngine engine;
  auto with = engine.Submit(WithPreviews(Images(1, 5, NoisyPlan(7)), 1, PreviewContent::kBoth));
  auto without = engine.Submit(Images(1, 5, NoisyPlan(7)));
  engine.StepAll();
  EXPECT_EQ(with->images().at(0).values, without->images().at(0).values);
}

TEST(EngineListener, MayCallTheEngine) {
  SteppedEngine engine;
  GenerationId id = 0;
  auto listener = std::make_shared<RecordingListener>([&](const std::string& line) {
    if (line == "progress 0 2/5") engine.engine().Cancel(id, absl::CancelledError("seen enough"));
    if (line != "finished CANCELLED") return;
    auto next = std::make_shared<RecordingListener>();
    EXPECT_TRUE(engine.engine().Submit(Images(1, 2, HalvingPlan(1)), next).ok());
  });
  id = engine.engine().Submit(Images(1, 1, HalvingPlan(5)), listener).value();
  EXPECT_EQ(engine.StepAll(), 3);
  EXPECT_THAT(listener->log(),
              ElementsAre("progress 0 1/5", "progress 0 2/5", "finished CANCELLED"));
}

TEST(EngineListener, IsReleasedWithItsGeneration) {
  SteppedEngine engine;
  auto listener = engine.Submit(Images(1, 1, HalvingPlan(2)));
  engine.StepAll();
  EXPECT_EQ(listener.use_count(), 1);
}

}  // namespace
}  // namespace diffusiond
