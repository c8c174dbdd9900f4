// Drawing plots as SVG: ticks, axes, panels. The same values draw the same bytes.
#ifndef DIFFUSIOND_MODEL_IMAGING_SVG_PLOT_H_
#define DIFFUSIOND_MODEL_IMAGING_SVG_PLOT_H_

#include <cstddef>
#include <string>

namespace diffusiond {

// Marks for an axis from 0 to `most` (above 0): multiples of 1, 2 or 5 times a power of ten, at
// most `count` + 1 of them, 0 among them.
struct AxisTicks {
  double step;
  int count;     // Marks beside 0.
  int decimals;  // That a mark's label needs.
};
AxisTicks TicksFor(double most, int count);

// A rectangle of pixels, and the values at its right and upper edges; 0 is at the left, and
// `least_y` below.
struct PlotPanel {
  double left = 0;
  double top = 0;
  double width = 0;
  double height = 0;
  double most_x = 1;
  double most_y = 1;
  double least_y = 0;  // Above 0 if log_y.
  bool log_y = false;

  double X(double value) const { return left + width * value / most_x; }
  double Y(double value) const;
};

// A colour for the series of that index, told apart by the colour-blind; they repeat after
// kPlotColors.
inline constexpr size_t kPlotColors = 8;
const char* PlotColor(size_t index);

// Text for an element or an attribute: markup is escaped, control characters become spaces.
std::string SvgEscaped(const std::string& text);

// `attributes` follow the position: " text-anchor=\"end\"".
std::string SvgText(double x, double y, const char* attributes, const std::string& text);

// Grid lines, their labels (values times `scale`) and the title.
std::string HorizontalAxis(const PlotPanel& panel, double scale, const std::string& title);
std::string VerticalAxis(const PlotPanel& panel, double scale, const std::string& title);

// The lines along the axes.
std::string PanelFrame(const PlotPanel& panel);

// The opening element, styles (grid, frame, cdf: a line, dots, crosses), a white ground and `label`
// as the title; may be empty. "</svg>" ends what is begun here.
std::string SvgHead(double width, double height, const std::string& label);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_IMAGING_SVG_PLOT_H_
