#include "model/evaluation/training_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/testing/xml_fault.h"

namespace diffusiond {
namespace {

using testing::HasSubstr;
using testing::Not;

TrainingReport Example() {
  TrainingReport report;
  report.title = "Training of <mine> & \"yours\"";
  report.facts = {{"command", "diffusion-train --class_names=a,<b>"}};
  report.num_train_timesteps = 1000;
  for (int64_t step : {10, 20, 30, 40, 50}) {
    ProgressPoint point;
    point.step = step;
    point.loss = 1.0 / static_cast<double>(step);
    point.loss_by_level[0] = 0.5;
    point.loss_by_level[9] = 0.05;
    if (step % 20 == 0) point.held_out_loss = 0.1;
    report.points.push_back(point);
  }
  report.samples = {{.caption = "step-0000020", .png = "PNG bytes"}};
  report.nearest = ReportPicture{.caption = "nearest <&>", .png = "others"};
  return report;
}

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(TrainingReportTest, ShowsAllThatThereIs) {
  TrainingReport report = Example();
  BoundSums sums;
  sums.terms.resize(3);
  for (TermSums& term : sums.terms) term = {.images = 1, .bits = 0.5, .squared_bits = 0.25};
  sums.images.push_back({.prior = 0.25, .middle = 1, .decoder = 0.5});
  report.bound = {.network = sums, .clipped = sums};
  report.bound->clipped.images[0].middle = 0.5;
  report.bound_label = "One image";
  const std::string html = TrainingReportHtml(report);
  for (const char* title :
       {"<h2>Loss</h2>", "<h2>Pace</h2>", "<h2>Loss over t</h2>", "<h2>Bits per dimension</h2>",
        "<h2>Samples over time</h2>", "nearest training images</h2>"}) {
    EXPECT_THAT(html, HasSubstr(title));
  }
  EXPECT_THAT(html, HasSubstr("<b>1.7500</b> bits/dim"));
  EXPECT_THAT(html, HasSubstr("another model: 1.2500."));
  EXPECT_THAT(html, HasSubstr("before step 50"));
  EXPECT_THAT(html, HasSubstr("before step 20"));
  EXPECT_EQ(Count(html, "<svg"), 4u);
  EXPECT_EQ(html, TrainingReportHtml(report));
  EXPECT_EQ(XmlFault(html.substr(html.find("<html"))), "");
}

TEST(TrainingReportTest, RefersToNothingOutsideAndEscapesWhatItIsGiven) {
  const std::string html = TrainingReportHtml(Example());
  EXPECT_THAT(html, HasSubstr("src=\"data:image/png;base64,UE5HIGJ5dGVz\""));
  EXPECT_EQ(Count(html, "src="), Count(html, "src=\"data:"));
  EXPECT_THAT(html, Not(HasSubstr("href=")));
  EXPECT_THAT(html, Not(HasSubstr("<mine>")));
  EXPECT_THAT(html, Not(HasSubstr("<b>")));
  EXPECT_THAT(html, Not(HasSubstr("nearest <&>")));
}

TEST(TrainingReportTest, AnEmptyRunIsAPageWithItsNotes) {
  TrainingReport report;
  report.title = "nothing";
  report.notes = {"bits/dim not measured: no held-out images"};
  const std::string html = TrainingReportHtml(report);
  EXPECT_THAT(html, HasSubstr("no held-out images"));
  EXPECT_THAT(html, Not(HasSubstr("<h2>")));
}

}  // namespace
}  // namespace diffusiond
