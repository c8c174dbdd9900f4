#include "model/imaging/line_chart.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/imaging/svg_plot.h"

namespace diffusiond {
namespace {

// Pixels.
constexpr double kPanelWidth = 480;
constexpr double kPanelHeight = 320;
constexpr double kPanelTop = 60;
constexpr double kMarginLeft = 70;
constexpr double kMarginRight = 30;
constexpr double kLegendTop = kPanelTop + kPanelHeight + 68;
constexpr double kLegendLine = 20;

bool Drawn(const LineChart& chart, const LinePoint& point) {
  return std::isfinite(point.x) && std::isfinite(point.y) && (!chart.log_y || point.y > 0);
}

PlotPanel PanelFor(const LineChart& chart, double left) {
  double most_x = 0, most_y = 0, least_y = std::numeric_limits<double>::infinity();
  for (const LineSeries& series : chart.series) {
    for (const LinePoint& point : series.points) {
      if (!Drawn(chart, point)) continue;
      most_x = std::max(most_x, point.x);
      most_y = std::max(most_y, point.y);
      least_y = std::min(least_y, point.y);
    }
  }
  PlotPanel panel{.left = left,
                  .top = kPanelTop,
                  .width = kPanelWidth,
                  .height = kPanelHeight,
                  .most_x = most_x > 0 ? most_x : 1,
                  .most_y = most_y > 0 ? most_y * 1.05 : 1,
                  .least_y = 0,
                  .log_y = chart.log_y};
  if (chart.log_y) {
    const bool any = most_y > 0;
    panel.most_y = std::pow(10.0, any ? std::ceil(std::log10(most_y)) : 0);
    panel.least_y = std::pow(10.0, any ? std::floor(std::log10(least_y)) : -1);
    if (panel.least_y == panel.most_y) panel.least_y /= 10;
  }
  return panel;
}

std::string Curve(const LineChart& chart, const PlotPanel& panel, size_t index) {
  std::string line;
  for (const LinePoint& point : chart.series[index].points) {
    if (!Drawn(chart, point)) continue;
    absl::StrAppendFormat(&line, "%c%.1f %.1f", line.empty() ? 'M' : 'L', panel.X(point.x),
                          panel.Y(std::max(point.y, panel.least_y)));
  }
  if (line.empty()) return "";
  return absl::StrFormat("<path class=\"cdf\" stroke=\"%s\" d=\"%s\"/>\n", PlotColor(index), line);
}

std::string Legend(const LineChart& chart, double left) {
  std::string svg;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    const double y = kLegendTop + kLegendLine * static_cast<double>(i);
    absl::StrAppendFormat(&svg, "<path class=\"cdf\" stroke=\"%s\" d=\"M%.1f %.1fh20\"/>\n",
                          PlotColor(i), left, y - 4);
    svg += SvgText(left + 26, y, "", chart.series[i].name);
  }
  return svg;
}

}  // namespace

std::string DrawLineCharts(std::span<const LineChart> charts, const std::string& label) {
  size_t legend_lines = 0;
  for (const LineChart& chart : charts) legend_lines = std::max(legend_lines, chart.series.size());
  const double column = kMarginLeft + kPanelWidth + kMarginRight;
  std::string svg = SvgHead(column * static_cast<double>(charts.size()),
                            kLegendTop + kLegendLine * static_cast<double>(legend_lines), label);
  for (size_t i = 0; i < charts.size(); ++i) {
    const double left = column * static_cast<double>(i) + kMarginLeft;
    const PlotPanel panel = PanelFor(charts[i], left);
    absl::StrAppend(&svg, HorizontalAxis(panel, 1, charts[i].x_title),
                    VerticalAxis(panel, 1, charts[i].y_title));
    for (size_t k = 0; k < charts[i].series.size(); ++k) svg += Curve(charts[i], panel, k);
    absl::StrAppend(&svg, PanelFrame(panel), Legend(charts[i], left));
  }
  return svg + "</svg>\n";
}

}  // namespace diffusiond
