// A run as a picture.
#ifndef DIFFUSIOND_CLIENT_LOAD_LOAD_PLOT_H_
#define DIFFUSIOND_CLIENT_LOAD_LOAD_PLOT_H_

#include <cstddef>
#include <string>

#include "client/load/load_plan.h"
#include "client/load/load_run.h"

namespace diffusiond {

// Above these, points are left out evenly and the picture says so.
inline constexpr size_t kMaxPlotPoints = 20'000;
inline constexpr size_t kMaxPlotCdfPoints = 1'000;  // Of each entry.

// SVG, on a white ground of its own: left, the latency of each request over its intended time (a
// dot if it was ok, else a cross where it ended), right, the share of an entry's ok requests that
// took at most so long. One colour an entry. The same records draw the same bytes. `label` is the
// title; may be empty.
std::string LoadPlot(const LoadPlan& plan, const LoadResult& result, const std::string& label);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_LOAD_LOAD_PLOT_H_
