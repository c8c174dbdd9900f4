// Curves side by side, as SVG.
#ifndef DIFFUSIOND_MODEL_IMAGING_LINE_CHART_H_
#define DIFFUSIOND_MODEL_IMAGING_LINE_CHART_H_

#include <span>
#include <string>
#include <vector>

namespace diffusiond {

struct LinePoint {
  double x = 0;  // At least 0.
  double y = 0;
};

struct LineSeries {
  std::string name;               // In the legend.
  std::vector<LinePoint> points;  // In the order in which they are joined.
};

struct LineChart {
  std::string x_title;
  std::string y_title;
  // On a logarithmic scale of whole decades, points not above 0 are left out; else the axis begins
  // at 0 and points below lie on it.
  bool log_y = false;
  std::vector<LineSeries> series;
};

// On a white ground of its own, one panel a chart from left to right, each over its legend; `label`
// is the title and may be empty. Points that are not finite are left out. The same charts draw the
// same bytes.
std::string DrawLineCharts(std::span<const LineChart> charts, const std::string& label);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_LINE_CHART_H_
