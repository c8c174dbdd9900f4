#include "model/cpu_network/blocking.h"
#include "model/cpu_network/layer.h"

namespace diffusiond {
namespace {

// One head of one image.
Attention HeadOf(const LayerRun& run, const Slot& qkv, const Slot& packed, size_t channels,
                 size_t heads, size_t row, size_t head) {
  Attention a;
  a.pixels = qkv.pixels();
  a.dim = channels / heads;
  a.stride = qkv.stride();
  a.q = run.Row(qkv, row) + head * a.dim;
  a.k = a.q + WholePanels(channels);
  a.v = a.k + WholePanels(channels);
  a.packed = run.Row(packed, row) + head * AttentionPacked(a.pixels, a.dim);
  return a;
}

}  // namespace

void AttentionPackingLayer::Run(const LayerRun& run) const {
  const Part share = ShareOf(run.rows * heads_, run.thread, run.threads);
  for (size_t unit = share.begin; unit < share.end; ++unit) {
    PackAttention(HeadOf(run, qkv_, packed_, channels_, heads_, unit / heads_, unit % heads_));
  }
}

size_t AttentionLayer::scratch_floats() const {
  return AttentionScratch(out_.pixels(), out_.channels / heads_);
}

double AttentionLayer::operations() const {
  const double pixels = static_cast<double>(out_.pixels());
  return 4 * pixels * pixels * static_cast<double>(out_.channels);
}

void AttentionLayer::Run(const LayerRun& run) const {
  const size_t pixels = out_.pixels(), blocks = (pixels + kQueryBlock - 1) / kQueryBlock;
  const Part share = ShareOf(run.rows * heads_ * blocks, run.thread, run.threads);
  for (size_t unit = share.begin; unit < share.end; ++unit) {
    const size_t block = unit % blocks, head = unit / blocks % heads_, row = unit / blocks / heads_;
    Attention a = HeadOf(run, qkv_, packed_, out_.channels, heads_, row, head);
    a.out = run.Row(out_, row) + head * a.dim;
    a.out_stride = out_.stride();
    a.queries = ShareOf(pixels, block, blocks);
    a.scratch = run.scratch;
    Attend(a);
  }
}

}  // namespace diffusiond
