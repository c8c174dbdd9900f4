#include "model/evaluation/training_report.h"

#include <algorithm>
#include <functional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/evaluation/bound_report.h"
#include "model/imaging/line_chart.h"
#include "model/imaging/svg_plot.h"

namespace diffusiond {
namespace {

constexpr char kStyle[] =
    "body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;"
    "color:#222}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}"
    "table{border-collapse:collapse}td{padding:.15rem .9rem .15rem 0;vertical-align:top;"
    "font-variant-numeric:tabular-nums}td:first-child{color:#666}"
    "svg{max-width:100%;height:auto}figure{display:inline-block;margin:.4rem .8rem .4rem 0}"
    "figcaption{color:#666;font-size:.85rem}img{image-rendering:pixelated;max-width:100%}"
    ".note{color:#8a4b00}";

LineSeries Series(const std::string& name, const std::vector<ProgressPoint>& points,
                  const std::function<std::optional<double>(const ProgressPoint&)>& value) {
  LineSeries series = {.name = name, .points = {}};
  for (const ProgressPoint& point : points) {
    const std::optional<double> y = value(point);
    if (y) series.points.push_back({static_cast<double>(point.step), *y});
  }
  return series;
}

std::string Section(const std::string& title, const std::string& body) {
  return absl::StrCat("<h2>", SvgEscaped(title), "</h2>\n", body, "\n");
}

std::string Charts(const std::vector<LineChart>& charts) { return DrawLineCharts(charts, ""); }

std::string CurvesSection(const std::vector<ProgressPoint>& points) {
  LineChart loss = {.x_title = "step", .y_title = "loss", .log_y = true, .series = {}};
  loss.series = {Series("training, mean since the last point", points,
                        [](const ProgressPoint& p) { return std::optional(p.loss); }),
                 Series("held-out images, averaged weights", points,
                        [](const ProgressPoint& p) { return p.held_out_loss; })};
  LineChart gradient = {.x_title = "step", .y_title = "gradient norm", .log_y = true, .series = {}};
  gradient.series = {Series("before clipping", points,
                            [](const ProgressPoint& p) { return std::optional(p.gradient_norm); })};
  LineChart rate = {.x_title = "step", .y_title = "learning rate", .log_y = false, .series = {}};
  rate.series = {Series("AdamW's", points,
                        [](const ProgressPoint& p) { return std::optional(p.learning_rate); })};
  LineChart speed = {.x_title = "step", .y_title = "images/s", .log_y = false, .series = {}};
  speed.series = {Series("without pauses", points, [](const ProgressPoint& p) {
    return std::optional(p.images_per_second);
  })};
  return Section("Loss", Charts({loss, gradient})) + Section("Pace", Charts({rate, speed}));
}

// The training loss over t, at a few moments of the run.
std::string LevelsSection(const TrainingReport& report) {
  constexpr size_t kMoments = 4;
  LineChart chart = {.x_title = "t", .y_title = "training loss", .log_y = true, .series = {}};
  const size_t count = report.points.size();
  size_t last = count;  // None yet.
  for (size_t moment = 1; moment <= kMoments && count > 0; ++moment) {
    const size_t index = (count * moment + kMoments - 1) / kMoments - 1;
    if (index == last) continue;
    last = index;
    const ProgressPoint& point = report.points[index];
    LineSeries series = {.name = absl::StrCat("before step ", point.step), .points = {}};
    for (size_t level = 0; level < kLossLevels; ++level) {
      if (!point.loss_by_level[level]) continue;
      const double middle = (static_cast<double>(level) + 0.5) / kLossLevels;
      series.points.push_back(
          {middle * static_cast<double>(report.num_train_timesteps), *point.loss_by_level[level]});
    }
    if (!series.points.empty()) chart.series.push_back(std::move(series));
  }
  return chart.series.empty() ? "" : Section("Loss over t", Charts({chart}));
}

std::string Figure(const ReportPicture& picture) {
  return absl::StrCat("<figure><img alt=\"", SvgEscaped(picture.caption),
                      "\" src=\"data:image/png;base64,", absl::Base64Escape(picture.png),
                      "\"/><figcaption>", SvgEscaped(picture.caption), "</figcaption></figure>\n");
}

std::string BoundSection(const TrainingReport& report) {
  const BoundSummary summary = SummariseBound(report.bound->network);
  std::string text = absl::StrFormat(
      "<p><b>%.4f</b> bits/dim, standard error %.4f, over %d images: L_0 %.4f, L_1 to L_(T-1) "
      "%.4f, "
      "L_T %.6f. %s.</p>\n",
      summary.total.mean, summary.total.standard_error, summary.images, summary.decoder.mean,
      summary.middle.mean, summary.prior.mean, SvgEscaped(report.bound_label));
  if (report.bound->clips()) {
    absl::StrAppendFormat(
        &text,
        "<p>Of the sampler, which clips x0-hat at every step and so is another model: %.4f.</p>\n",
        SummariseBound(report.bound->clipped).total.mean);
  }
  return Section("Bits per dimension", text + BoundPlot(report.bound->network, ""));
}

}  // namespace

std::string TrainingReportHtml(const TrainingReport& report) {
  std::string html =
      absl::StrCat("<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\"/>\n", "<title>",
                   SvgEscaped(report.title), "</title>\n<style>", kStyle, "</style>\n<h1>",
                   SvgEscaped(report.title), "</h1>\n<table>\n");
  for (const auto& [what, value] : report.facts) {
    absl::StrAppend(&html, "<tr><td>", SvgEscaped(what), "</td><td>", SvgEscaped(value),
                    "</td></tr>\n");
  }
  absl::StrAppend(&html, "</table>\n");
  for (const std::string& note : report.notes) {
    absl::StrAppend(&html, "<p class=\"note\">", SvgEscaped(note), "</p>\n");
  }
  if (!report.points.empty()) absl::StrAppend(&html, CurvesSection(report.points));
  absl::StrAppend(&html, LevelsSection(report));
  if (report.bound) absl::StrAppend(&html, BoundSection(report));
  std::string samples;
  for (const ReportPicture& picture : report.samples) samples += Figure(picture);
  if (!samples.empty()) absl::StrAppend(&html, Section("Samples over time", samples));
  if (report.nearest) {
    absl::StrAppend(
        &html, Section("Drawn images beside the nearest training images", Figure(*report.nearest)));
  }
  return html + "</html>\n";
}

}  // namespace diffusiond
