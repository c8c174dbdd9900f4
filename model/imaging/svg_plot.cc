#include "model/imaging/svg_plot.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace diffusiond {
namespace {

// Okabe and Ito's, told apart by the colour-blind; yellow, faint on white, left out.
constexpr std::array kColors = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                "#e69f00", "#56b4e9", "#000000", "#7f7f7f"};

constexpr int kTicks = 8;

std::string HorizontalGridLine(const PlotPanel& panel, double y, const std::string& label) {
  return absl::StrFormat("<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>\n", panel.left, y,
                         panel.left + panel.width) +
         SvgText(panel.left - 8, y + 4, " text-anchor=\"end\"", label);
}

}  // namespace

double PlotPanel::Y(double value) const {
  const double share = log_y ? std::log(value / least_y) / std::log(most_y / least_y)
                             : (value - least_y) / (most_y - least_y);
  return top + height * (1 - share);
}

const char* PlotColor(size_t index) { return kColors[index % kColors.size()]; }

std::string SvgEscaped(const std::string& text) {
  std::string plain;
  for (const char c : text) plain += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  return absl::StrReplaceAll(plain,
                             {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

std::string SvgText(double x, double y, const char* attributes, const std::string& text) {
  return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\"%s>%s</text>\n", x, y, attributes,
                         SvgEscaped(text));
}

AxisTicks TicksFor(double most, int count) {
  const double least_step = most / count;
  int exponent = static_cast<int>(std::floor(std::log10(least_step)));
  double step = 0;
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    step = factor * std::pow(10.0, exponent);
    if (factor == 10) ++exponent;
    if (step >= least_step * (1 - 1e-9)) break;
  }
  return {.step = step,
          .count = static_cast<int>(std::floor(most / step * (1 + 1e-9))),
          .decimals = std::max(0, -exponent)};
}

std::string HorizontalAxis(const PlotPanel& panel, double scale, const std::string& title) {
  const AxisTicks ticks = TicksFor(panel.most_x * scale, kTicks);
  const double bottom = panel.top + panel.height;
  std::string svg;
  for (int i = 0; i <= ticks.count; ++i) {
    const double x = panel.X(ticks.step * i / scale);
    absl::StrAppendFormat(&svg, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>\n", x, bottom,
                          panel.top);
    svg += SvgText(x, bottom + 18, " text-anchor=\"middle\"",
                   absl::StrFormat("%.*f", ticks.decimals, ticks.step * i));
  }
  return svg + SvgText(panel.left + panel.width / 2, bottom + 40, " text-anchor=\"middle\"", title);
}

std::string VerticalAxis(const PlotPanel& panel, double scale, const std::string& title) {
  std::string svg;
  if (panel.log_y) {
    const int first = static_cast<int>(std::ceil(std::log10(panel.least_y * scale) - 1e-9));
    const int last = static_cast<int>(std::floor(std::log10(panel.most_y * scale) + 1e-9));
    for (int exponent = first; exponent <= last; ++exponent) {
      const double value = std::pow(10.0, exponent);
      svg += HorizontalGridLine(panel, panel.Y(value / scale), absl::StrFormat("%g", value));
    }
  } else {
    const AxisTicks ticks = TicksFor(panel.most_y * scale, kTicks);
    for (int i = 0; i <= ticks.count; ++i) {
      svg += HorizontalGridLine(panel, panel.Y(ticks.step * i / scale),
                                absl::StrFormat("%.*f", ticks.decimals, ticks.step * i));
    }
  }
  return svg + SvgText(panel.left - 45, panel.top - 12, "", title);
}

std::string PanelFrame(const PlotPanel& panel) {
  return absl::StrFormat("<path class=\"frame\" d=\"M%.1f %.1fV%.1fH%.1f\"/>\n", panel.left,
                         panel.top, panel.top + panel.height, panel.left + panel.width);
}

std::string SvgHead(double width, double height, const std::string& label) {
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
      "viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222222\">\n"
      "<style>path{fill:none}.grid{stroke:#e5e5e5}.frame{stroke:#222222}.cdf{stroke-width:2}"
      ".dots{stroke-width:4;stroke-linecap:round;stroke-opacity:.6}.crosses{stroke-width:1.2}"
      "</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
      width, height, width, height);
  if (!label.empty()) svg += SvgText(60, 20, " font-size=\"15\" font-weight=\"bold\"", label);
  return svg;
}

}  // namespace diffusiond
