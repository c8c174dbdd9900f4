#include "model/cpu_network/layer.h"

namespace diffusiond {

void PoolingLayer::Run(const LayerRun& run) const {
  const size_t stride = in_.stride();
  const Part share = ShareOf(run.rows * out_.pixels(), run.thread, run.threads);
  for (size_t unit = share.begin; unit < share.end; ++unit) {
    const size_t row = unit / out_.pixels(), pixel = unit % out_.pixels();
    const size_t y = 2 * (pixel / out_.width), x = 2 * (pixel % out_.width);
    const float* above = run.Row(in_, row) + (y * in_.width + x) * stride;
    const float* below = above + in_.width * stride;
    float* to = run.Row(out_, row) + pixel * stride;
    for (size_t c = 0; c < stride; ++c) {
      to[c] = ((above[c] + above[stride + c]) + (below[c] + below[stride + c])) * 0.25f;
    }
  }
}

void InputLayer::Run(const LayerRun& run) const {
  const size_t pixels = out_.pixels();
  const Part share = ShareOf(run.rows * pixels, run.thread, run.threads);
  for (size_t unit = share.begin; unit < share.end; ++unit) {
    const size_t row = unit / pixels, pixel = unit % pixels;
    const float* from = run.x + row * out_.channels * pixels + pixel;
    float* to = run.Row(out_, row) + pixel * out_.stride();
    for (size_t c = 0; c < out_.channels; ++c) {
      to[c] = centred_ ? 2 * from[c * pixels] - 1 : from[c * pixels];
    }
  }
}

void OutputLayer::Run(const LayerRun& run) const {
  const size_t pixels = in_.pixels();
  const Part share = ShareOf(run.rows * pixels, run.thread, run.threads);
  for (size_t unit = share.begin; unit < share.end; ++unit) {
    const size_t row = unit / pixels, pixel = unit % pixels;
    const float* from = run.Row(in_, row) + pixel * in_.stride();
    float* to = run.f + row * in_.channels * pixels + pixel;
    for (size_t c = 0; c < in_.channels; ++c) to[c * pixels] = from[c];
  }
}

}  // namespace diffusiond
