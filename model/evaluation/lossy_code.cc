#include "model/evaluation/lossy_code.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "model/imaging/line_chart.h"

namespace diffusiond {

std::vector<RatePoint> RateDistortion(const BoundSums& sums) {
  constexpr double kGreyLevels = 127.5;  // To one unit of [-1, 1].
  double prior = 0;
  for (const ImageBits& image : sums.images) prior += image.prior;
  double rate = prior / static_cast<double>(sums.images.size());
  std::vector<RatePoint> points;
  for (auto t = static_cast<int64_t>(sums.terms.size()) - 1; t >= 0; --t) {
    const TermSums& term = sums.terms[static_cast<size_t>(t)];
    points.push_back({t, rate, kGreyLevels * std::sqrt(term.x0_mse / term.images)});
    rate += term.bits / term.images;
  }
  points.push_back({-1, rate, 0});
  return points;
}

std::string RateDistortionCsv(const std::vector<RatePoint>& points) {
  std::string csv = "timestep,rate_bits_per_dim,distortion_rmse\n";
  for (const RatePoint& point : points) {
    absl::StrAppendFormat(&csv, "%d,%.12g,%.12g\n", point.t, point.rate, point.distortion);
  }
  return csv;
}

std::string RateDistortionPlot(const std::vector<RatePoint>& points, const std::string& label) {
  LineSeries distortion{.name = "root mean squared error of x0-hat(x_t)", .points = {}};
  LineSeries rate{.name = "L_T + ... + L_{t+1}", .points = {}};
  LineSeries both{.name = "one point a timestep", .points = {}};
  for (const RatePoint& point : points) {
    both.points.push_back({point.rate, point.distortion});
    if (point.t < 0) continue;
    const double t = static_cast<double>(point.t);
    distortion.points.push_back({t, point.distortion});
    rate.points.push_back({t, point.rate});
  }
  const std::string grey = "distortion (grey levels of 255)", bits = "rate (bits/dim)";
  const std::vector<LineChart> charts = {
      {.x_title = "t", .y_title = grey, .log_y = false, .series = {std::move(distortion)}},
      {.x_title = "t", .y_title = bits, .log_y = false, .series = {std::move(rate)}},
      {.x_title = bits, .y_title = grey, .log_y = false, .series = {std::move(both)}}};
  return DrawLineCharts(charts, label);
}

}  // namespace diffusiond
