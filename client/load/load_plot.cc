#include "client/load/load_plot.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/imaging/svg_plot.h"

namespace diffusiond {
namespace {

// Pixels.
constexpr double kWidth = 1200;
constexpr double kPanelTop = 50;
constexpr double kPanelHeight = 340;
constexpr double kLegendTop = kPanelTop + kPanelHeight + 70;
constexpr double kLegendLine = 20;
constexpr int kLegendColumns = 4;

// Seconds as they are best read.
struct TimeUnit {
  double per_second;
  const char* name;
};

TimeUnit UnitFor(double most_seconds) {
  return most_seconds < 1 ? TimeUnit{1e3, "ms"} : TimeUnit{1, "s"};
}

struct Point {
  double at;    // Intended, in seconds.
  double took;  // To the status, in seconds.
};

struct Series {
  std::string name = {};
  std::vector<Point> ok = {};
  std::vector<Point> not_ok = {};
  size_t not_sent = 0;
  std::vector<double> latencies = {};  // Of ok, sorted.
};

std::vector<Series> SeriesOf(const LoadPlan& plan, const LoadResult& result) {
  std::vector<Series> all;
  for (const LoadEntry& entry : plan.mix.entries) all.push_back({.name = entry.name});
  for (const LoadRecord& record : result.records) {
    Series& series = all[record.entry];
    if (std::isnan(record.finished)) {
      ++series.not_sent;
      continue;
    }
    const bool ok = record.outcome == LoadOutcome::kOk;
    const Point point{record.intended, record.finished - record.intended};
    (ok ? series.ok : series.not_ok).push_back(point);
    if (ok) series.latencies.push_back(point.took);
  }
  for (Series& series : all) std::sort(series.latencies.begin(), series.latencies.end());
  return all;
}

// The longest time of any point; an empty picture has a scale too.
double LongestOf(const std::vector<Series>& all) {
  double longest = 0;
  for (const Series& series : all) {
    for (const Point& point : series.ok) longest = std::max(longest, point.took);
    for (const Point& point : series.not_ok) longest = std::max(longest, point.took);
  }
  return longest > 0 ? longest : 1;
}

// Every how manieth point is drawn.
size_t StrideOf(const std::vector<Series>& all) {
  size_t points = 0;
  for (const Series& series : all) points += series.ok.size() + series.not_ok.size();
  return std::max<size_t>(1, (points + kMaxPlotPoints - 1) / kMaxPlotPoints);
}

// A line of no length with round ends is a dot: all of an entry's are one path.
std::string Dots(const PlotPanel& panel, const Series& series, const char* color, size_t stride) {
  std::string dots, crosses;
  for (size_t i = 0; i < series.ok.size(); i += stride) {
    const Point& point = series.ok[i];
    absl::StrAppendFormat(&dots, "M%.1f %.1fh0", panel.X(point.at), panel.Y(point.took));
  }
  for (size_t i = 0; i < series.not_ok.size(); i += stride) {
    const Point& point = series.not_ok[i];
    absl::StrAppendFormat(&crosses, "M%.1f %.1fl6 6m-6 0l6-6", panel.X(point.at) - 3,
                          panel.Y(point.took) - 3);
  }
  const std::string name = SvgEscaped(series.name);
  std::string svg = absl::StrFormat("<g id=\"points-%s\" stroke=\"%s\">\n", name, color);
  if (!dots.empty()) absl::StrAppend(&svg, "<path class=\"dots\" d=\"", dots, "\"/>\n");
  if (!crosses.empty()) absl::StrAppend(&svg, "<path class=\"crosses\" d=\"", crosses, "\"/>\n");
  return svg + "</g>\n";
}

// Up at each latency, level between.
std::string CdfLine(const PlotPanel& panel, const Series& series, const char* color, bool dashed) {
  const size_t count = series.latencies.size();
  std::string line =
      absl::StrFormat("M%.1f %.1f", panel.X(count == 0 ? 0 : series.latencies.front()), panel.Y(0));
  const size_t stride = std::max<size_t>(1, (count + kMaxPlotCdfPoints - 1) / kMaxPlotCdfPoints);
  for (size_t rank = std::min(stride, count); rank > 0; rank = std::min(rank + stride, count)) {
    const double share = static_cast<double>(rank) / static_cast<double>(count);
    absl::StrAppendFormat(&line, "H%.1fV%.1f", panel.X(series.latencies[rank - 1]), panel.Y(share));
    if (rank == count) break;
  }
  return absl::StrFormat("<path id=\"cdf-%s\" class=\"cdf\" stroke=\"%s\"%s d=\"%s\"/>\n",
                         SvgEscaped(series.name), color, dashed ? " stroke-dasharray=\"6 3\"" : "",
                         line);
}

std::string LegendText(const Series& series) {
  std::string text = absl::StrCat(series.name, ": ", series.ok.size(), " ok");
  if (!series.not_ok.empty()) absl::StrAppend(&text, ", ", series.not_ok.size(), " not (crosses)");
  if (series.not_sent > 0) absl::StrAppend(&text, ", ", series.not_sent, " not sent");
  return text;
}

std::string Legend(const std::vector<Series>& all) {
  std::string svg = "<g id=\"legend\">\n";
  for (size_t i = 0; i < all.size(); ++i) {
    const double x = 60 + (kWidth - 80) / kLegendColumns * static_cast<double>(i % kLegendColumns);
    const double y = kLegendTop + kLegendLine * static_cast<double>(i / kLegendColumns);
    absl::StrAppendFormat(&svg, "<path class=\"cdf\" stroke=\"%s\"%s d=\"M%.1f %.1fh20\"/>\n",
                          PlotColor(i), i < kPlotColors ? "" : " stroke-dasharray=\"6 3\"", x,
                          y - 4);
    svg += SvgText(x + 26, y, "", LegendText(all[i]));
  }
  return svg + "</g>\n";
}

}  // namespace

std::string LoadPlot(const LoadPlan& plan, const LoadResult& result, const std::string& label) {
  const std::vector<Series> all = SeriesOf(plan, result);
  const double longest = LongestOf(all);
  double end = absl::ToDoubleSeconds(result.window);
  for (const LoadRecord& record : result.records) end = std::max(end, record.intended);
  if (!(end > 0)) end = 1;
  const TimeUnit unit = UnitFor(longest);
  // A little room above the largest value; the shares end at 1.
  const PlotPanel points{.left = 60,
                         .top = kPanelTop,
                         .width = 600,
                         .height = kPanelHeight,
                         .most_x = end,
                         .most_y = longest * 1.05};
  const PlotPanel cdf{.left = 740,
                      .top = kPanelTop,
                      .width = 430,
                      .height = kPanelHeight,
                      .most_x = longest * 1.05,
                      .most_y = 1};

  const double legend_lines = std::ceil(static_cast<double>(all.size()) / kLegendColumns);
  const double height = kLegendTop + kLegendLine * legend_lines;
  const size_t stride = StrideOf(all);
  std::string svg = SvgHead(kWidth, height, label);
  absl::StrAppend(&svg, HorizontalAxis(points, 1, "intended time of sending (s)"),
                  VerticalAxis(points, unit.per_second, absl::StrCat("latency (", unit.name, ")")),
                  HorizontalAxis(cdf, unit.per_second, absl::StrCat("latency (", unit.name, ")")),
                  VerticalAxis(cdf, 1, "share of ok requests that took at most so long"));
  for (size_t i = 0; i < all.size(); ++i) {
    const char* color = PlotColor(i);
    absl::StrAppend(&svg, Dots(points, all[i], color, stride),
                    CdfLine(cdf, all[i], color, i >= kPlotColors));
  }
  absl::StrAppend(&svg, PanelFrame(points), PanelFrame(cdf), Legend(all));
  if (stride > 1) {
    svg += SvgText(points.left + points.width, kPanelTop - 12, " text-anchor=\"end\"",
                   absl::StrCat("one of ", stride, " points drawn"));
  }
  return svg + "</svg>\n";
}

}  // namespace diffusiond
