// Self-attention over pixels. Per-target.
#if defined(DIFFUSIOND_MODEL_CPU_NETWORK_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_ATTENTION_INL_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_ATTENTION_INL_H_
#else
#undef DIFFUSIOND_MODEL_CPU_NETWORK_ATTENTION_INL_H_
#endif

#include <algorithm>

#include "model/cpu_network/blocking.h"
#include "model/cpu_network/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace diffusiond::HWY_NAMESPACE {

// k as the weights of a layer with `dim` inputs and an output for each pixel, v as those of one
// with an input for each pixel and `dim` outputs: [panel][block][terms][kPanel].
void PackAttention(const Attention& a) {
  float* to = a.packed;
  for (size_t panel = 0; panel < Panels(a.pixels); ++panel) {
    for (size_t i = 0; i < a.dim; ++i) {
      for (size_t lane = 0; lane < kPanel; ++lane) {
        const size_t pixel = panel * kPanel + lane;
        *to++ = pixel < a.pixels ? a.k[pixel * a.stride + i] : 0.f;
      }
    }
  }
  for (size_t panel = 0; panel < Panels(a.dim); ++panel) {
    const size_t count = std::min(kPanel, a.dim - panel * kPanel);
    for (size_t pixel = 0; pixel < a.pixels; ++pixel, to += kPanel) {
      std::copy_n(a.v + pixel * a.stride + panel * kPanel, count, to);
      std::fill(to + count, to + kPanel, 0.f);
    }
  }
}

// sums[row][panel] = rows x weights, [panel][all terms][kPanel], in blocks of kDepth terms.
HWY_INLINE void MultiplyAll(const float* const* rows, size_t count, size_t terms,
                            const float* weights, size_t panels, float* sums, size_t sums_stride) {
  Block block;
  block.rows = rows;
  block.panel_stride = terms * kPanel;
  block.sums_stride = sums_stride;
  for (size_t panel = 0; panel < panels; panel += kTilePanels) {
    for (block.offset = 0; block.offset < terms; block.offset += kDepth) {
      block.terms = std::min(kDepth, terms - block.offset);
      block.first = block.offset == 0;
      block.weights = weights + panel * block.panel_stride + block.offset * kPanel;
      block.sums = sums + panel * kPanel;
      BlockProductOf(block, count, std::min(kTilePanels, panels - panel));
    }
  }
}

// scores -> e^(score - the largest), and their sum: kPanel partial sums, then in halves.
HWY_INLINE float ExpOfRow(float* scores, size_t count) {
  float largest = scores[0];
  const size_t whole = count / kPanel * kPanel;
  if (whole > 0) {
    Vector most = Load(scores);
    for (size_t i = kLanes; i < whole; i += kLanes) most = hn::Max(most, Load(scores + i));
    float lanes[kLanes];
    Store(most, lanes);
    largest = *std::max_element(lanes, lanes + kLanes);
  }
  for (size_t i = whole; i < count; ++i) largest = std::max(largest, scores[i]);
  const Vector shift = All(largest);
  Vector sums[kPanelVectors];
  for (Vector& sum : sums) sum = hn::Zero(Floats());
  for (size_t i = 0; i < WholePanels(count); i += kPanel) {
    for (size_t v = 0; v < kPanelVectors; ++v) {
      float* at = scores + i + v * kLanes;
      Store(Exp(hn::Sub(Load(at), shift)), at);
    }
    for (size_t lane = count; lane < i + kPanel; ++lane) scores[lane] = 0;
    for (size_t v = 0; v < kPanelVectors; ++v) {
      sums[v] = hn::Add(sums[v], Load(scores + i + v * kLanes));
    }
  }
  float partial[kPanel];
  for (size_t v = 0; v < kPanelVectors; ++v) Store(sums[v], partial + v * kLanes);
  for (size_t half = kPanel / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) partial[i] += partial[i + half];
  }
  return partial[0];
}

void Attend(const Attention& a) {
  const size_t score_stride = WholePanels(a.pixels), out_stride = WholePanels(a.dim);
  float* scores = a.scratch;
  float* out = scores + kQueryBlock * score_stride;
  const float* packed_v = a.packed + score_stride * a.dim;
  const float* rows[kQueryBlock];
  float sums[kQueryBlock];
  for (size_t begin = a.queries.begin; begin < a.queries.end; begin += kQueryBlock) {
    const size_t count = std::min(kQueryBlock, a.queries.end - begin);
    for (size_t i = 0; i < count; ++i) rows[i] = a.q + (begin + i) * a.stride;
    MultiplyAll(rows, count, a.dim, a.packed, Panels(a.pixels), scores, score_stride);
    for (size_t i = 0; i < count; ++i) {
      rows[i] = scores + i * score_stride;
      sums[i] = ExpOfRow(scores + i * score_stride, a.pixels);
    }
    MultiplyAll(rows, count, a.pixels, packed_v, Panels(a.dim), out, out_stride);
    for (size_t i = 0; i < count; ++i) {
      float* from = out + i * out_stride;
      for (size_t v = 0; v < out_stride; v += kLanes) {
        Store(hn::Div(Load(from + v), All(sums[i])), from + v);
      }
      StorePart(from, a.dim, a.out + (begin + i) * a.out_stride);
    }
  }
}

}  // namespace diffusiond::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_ATTENTION_INL_H_
