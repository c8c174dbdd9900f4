#include "model/evaluation/bound_report.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/imaging/line_chart.h"

namespace diffusiond {
namespace {

constexpr double kPlotBins = 100;

MeanAndError Of(const BoundSums& sums, double (*value)(const ImageBits&)) {
  std::vector<double> values;
  for (const ImageBits& image : sums.images) values.push_back(value(image));
  return Summarise(values);
}

// Twelve significant digits; nothing for NaN.
std::string Field(double value) { return std::isnan(value) ? "" : absl::StrFormat("%.12g", value); }

// Means over ranges of t from 1 on, narrow where t is small and terms differ much; ranges without
// an evaluation are left out. Timesteps count alike, however often each was drawn.
struct Range {
  double middle;
  double timesteps;
  double bits;  // Mean of a term.
};
std::vector<Range> Ranges(const BoundSums& sums) {
  std::vector<Range> ranges;
  const double count = static_cast<double>(sums.terms.size()) - 1;
  for (size_t bin = 1, begin = 1; begin < sums.terms.size(); ++bin) {
    const double share = static_cast<double>(bin) / kPlotBins;
    const size_t end =
        std::clamp(1 + static_cast<size_t>(count * share * share), begin + 1, sums.terms.size());
    double evaluated = 0, bits = 0;
    for (size_t t = begin; t < end; ++t) {
      if (sums.terms[t].images == 0) continue;
      evaluated += 1;
      bits += sums.terms[t].bits / sums.terms[t].images;
    }
    const double first = static_cast<double>(begin), past = static_cast<double>(end);
    if (evaluated > 0) {
      ranges.push_back({(first + past - 1) / 2, past - first, bits / evaluated});
    }
    begin = end;
  }
  return ranges;
}

}  // namespace

BoundSummary SummariseBound(const BoundSums& sums) {
  return {.images = static_cast<int64_t>(sums.images.size()),
          .prior = Of(sums, [](const ImageBits& image) { return image.prior; }),
          .middle = Of(sums, [](const ImageBits& image) { return image.middle; }),
          .decoder = Of(sums, [](const ImageBits& image) { return image.decoder; }),
          .total = Of(sums, [](const ImageBits& image) { return image.total(); })};
}

std::string BoundCsv(const BoundSums& sums) {
  std::string csv = "term,timestep,images,bits_per_dim,standard_error,x0_mse\n";
  for (size_t t = 0; t < sums.terms.size(); ++t) {
    const TermSums& term = sums.terms[t];
    const MeanAndError bits = Summarise(term.images, term.bits, term.squared_bits);
    absl::StrAppend(&csv, "L_", t, ",", t, ",", term.images, ",", Field(bits.mean), ",",
                    Field(bits.standard_error), ",", Field(term.x0_mse / term.images), "\n");
  }
  const MeanAndError prior = SummariseBound(sums).prior;
  absl::StrAppend(&csv, "L_", sums.terms.size(), ",", sums.terms.size(), ",", sums.images.size(),
                  ",", Field(prior.mean), ",", Field(prior.standard_error), ",\n");
  return csv;
}

std::string BoundPlot(const BoundSums& sums, const std::string& label) {
  const BoundSummary summary = SummariseBound(sums);
  const std::vector<Range> ranges = Ranges(sums);
  LineSeries terms{.name = "L_t (mean over neighbouring t)", .points = {}};
  for (const Range& range : ranges) terms.points.push_back({range.middle, range.bits});

  LineSeries rate{
      .name = absl::StrFormat("L_T + ... + L_t; with L_0 %.4f bits/dim", summary.total.mean),
      .points = {{static_cast<double>(sums.terms.size()), summary.prior.mean}}};
  double bits = summary.prior.mean;
  for (auto range = ranges.rbegin(); range != ranges.rend(); ++range) {
    bits += range->bits * range->timesteps;
    rate.points.push_back({range->middle, bits});
  }
  rate.points.push_back({0, bits + summary.decoder.mean});

  const std::vector<LineChart> charts = {
      {.x_title = "t", .y_title = "bits/dim of one term", .log_y = true, .series = {terms}},
      {.x_title = "t", .y_title = "bits/dim from T down to t", .log_y = false, .series = {rate}}};
  return DrawLineCharts(charts, label);
}

}  // namespace diffusiond
