#include "model/cpu_network/blocking.h"
#include "model/cpu_network/layer.h"

namespace diffusiond {
namespace {

// One head of one image.
Attention HeadOf(const LayerRun& run, const AttentionSlots& slots, size_t row, size_t head) {
  Attention a;
  a.pixels = slots.q.pixels();
  a.dim = slots.channels / slots.heads;
  a.stride = slots.q.stride();
  a.q = run.Row(slots.q, row) + head * a.dim;
  a.k = run.Row(slots.k, row) + head * a.dim;
  a.v = run.Row(slots.v, row) + head * a.dim;
  a.packed = run.Row(slots.packed, row) + head * AttentionPacked(a.pixels, a.dim);
  return a;
}

}  // namespace

void AttentionPackingLayer::Run(const LayerRun& run) const {
  const size_t heads = slots_.heads;
  const Part share = ShareOf(run.rows * heads, run.thread, run.threads);
  for (size_t unit = share.begin; unit < share.end; ++unit) {
    PackAttention(HeadOf(run, slots_, unit / heads, unit % heads));
  }
}

size_t AttentionLayer::scratch_floats() const {
  return AttentionScratch(out_.pixels(), out_.channels / slots_.heads);
}

double AttentionLayer::operations() const {
  const double pixels = static_cast<double>(out_.pixels());
  return 4 * pixels * pixels * static_cast<double>(out_.channels);
}

void AttentionLayer::Run(const LayerRun& run) const {
  const size_t pixels = out_.pixels(), blocks = (pixels + kQueryBlock - 1) / kQueryBlock;
  const size_t heads = slots_.heads;
  const Part share = ShareOf(run.rows * heads * blocks, run.thread, run.threads);
  for (size_t unit = share.begin; unit < share.end; ++unit) {
    const size_t block = unit % blocks, head = unit / blocks % heads, row = unit / blocks / heads;
    Attention a = HeadOf(run, slots_, row, head);
    a.out = run.Row(out_, row) + head * a.dim;
    a.out_stride = out_.stride();
    a.queries = ShareOf(pixels, block, blocks);
    a.scratch = run.scratch;
    Attend(a);
  }
}

}  // namespace diffusiond
