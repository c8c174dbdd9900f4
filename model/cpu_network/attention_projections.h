// What attention multiplies its input and its result by.
#ifndef DIFFUSIOND_MODEL_CPU_NETWORK_ATTENTION_PROJECTIONS_H_
#define DIFFUSIOND_MODEL_CPU_NETWORK_ATTENTION_PROJECTIONS_H_

#include <cstddef>
#include <vector>

namespace diffusiond {

// y = weights x + bias; weights [channels, channels], an output's in a row.
struct Linear {
  std::vector<float> weights, bias;
};

struct AttentionProjections {
  Linear q, k, v, out;
};

// Scores are q k^T afterwards, without the factor that `scale` is.
void ScaleQueries(double scale, AttentionProjections* projections);

// Channels of a head that are merged at most: a product of more takes seconds.
inline constexpr size_t kMostMergedChannels = 1024;

// As that, and more, for one head, whose keys are as many numbers as the input has channels: two of
// the four products vanish. k and v are the input itself afterwards, and their weights empty.
//   q k^T = (Wq x + bq)^T (Wk y + bk) = (Wk^T Wq x + Wk^T bq)^T y + what is the same for every key
//           y, which softmax does not see;
//   Wo (sum of p (Wv y + bv)) + bo = Wo Wv (sum of p y) + Wo bv + bo, as p sum to 1.
// In double precision, rounded once.
void MergeProjections(double scale, AttentionProjections* projections);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CPU_NETWORK_ATTENTION_PROJECTIONS_H_
