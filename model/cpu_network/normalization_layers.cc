#include <algorithm>
#include <cmath>

#include "model/cpu_network/layer.h"

namespace diffusiond {
namespace {

size_t ChannelsOf(const Slot (&in)[2]) { return in[0].channels + in[1].channels; }

// Of [mean, deviation][channels].
double* MomentsOf(const LayerRun& run, const Slot& moments, size_t row) {
  return reinterpret_cast<double*>(run.Row(moments, row));
}

}  // namespace

void MomentsLayer::Run(const LayerRun& run) const {
  const size_t panels[2] = {Panels(in_[0].channels), Panels(in_[1].channels)};
  const size_t of_row = panels[0] + panels[1];
  const Part share = ShareOf(run.rows * of_row, run.thread, run.threads);
  for (size_t unit = share.begin; unit < share.end; ++unit) {
    const size_t row = unit / of_row, panel = unit % of_row;
    const size_t source = panel < panels[0] ? 0 : 1;
    const size_t first = source == 0 ? 0 : in_[0].channels;
    const size_t of_source = source == 0 ? panel : panel - panels[0];
    double* mean = MomentsOf(run, moments_, row) + first;
    ChannelMoments(run.At(in_[source]), row, {of_source, of_source + 1}, mean,
                   mean + ChannelsOf(in_));
  }
}

void NormalizationLayer::FindCoefficients(const LayerRun& run, size_t row, float* mean,
                                          float* scale, float* shift) const {
  const Options& o = options_;
  const size_t channels = ChannelsOf(o.in), in_group = channels / o.groups;
  const double pixels = static_cast<double>(o.in[0].pixels());
  const double* means = MomentsOf(run, o.moments, row);
  const double* deviations = means + channels;
  const float* own = o.scale_shift.channels > 0 ? run.Row(o.scale_shift, row) : nullptr;
  for (size_t group = 0; group < o.groups; ++group) {
    const size_t begin = group * in_group, end = begin + in_group;
    double group_mean = 0;
    for (size_t c = begin; c < end; ++c) group_mean += means[c];
    group_mean /= static_cast<double>(in_group);
    double squares = 0;
    for (size_t c = begin; c < end; ++c) {
      const double apart = means[c] - group_mean;
      squares += deviations[c] + pixels * (apart * apart);
    }
    const double variance = squares / (pixels * static_cast<double>(in_group));
    const double inverse = 1 / std::sqrt(variance + o.eps);
    for (size_t c = begin; c < end; ++c) {
      double to_scale = o.weight[c] * inverse, to_shift = o.bias[c];
      if (own != nullptr) {
        const double factor = 1 + static_cast<double>(own[c]);
        to_scale *= factor;
        to_shift = to_shift * factor + static_cast<double>(own[channels + c]);
      }
      mean[c] = static_cast<float>(group_mean);
      scale[c] = static_cast<float>(to_scale);
      shift[c] = static_cast<float>(to_shift);
    }
  }
}

// A vector may be read from the last channel on.
size_t NormalizationLayer::scratch_floats() const { return 3 * (ChannelsOf(options_.in) + kPanel); }

void NormalizationLayer::Run(const LayerRun& run) const {
  const Options& o = options_;
  const size_t pixels = o.out.pixels(), length = ChannelsOf(o.in) + kPanel;
  float* const mean = run.scratch;
  float* const scale = mean + length;
  float* const shift = scale + length;
  std::fill(mean, shift + length, 0.f);
  Normalization n;
  for (int i = 0; i < 2; ++i) n.in[i] = run.At(o.in[i]);
  n.out = run.At(o.out);
  n.mean = mean;
  n.scale = scale;
  n.shift = shift;
  n.silu = o.silu;
  const Part share = ShareOf(run.rows * pixels, run.thread, run.threads);
  for (size_t row = 0; row < run.rows; ++row) {
    const size_t first = row * pixels;
    const Part part = {std::clamp(share.begin, first, first + pixels) - first,
                       std::clamp(share.end, first, first + pixels) - first};
    if (part.begin == part.end) continue;
    FindCoefficients(run, row, mean, scale, shift);
    Normalize(n, row, part);
  }
}

}  // namespace diffusiond
