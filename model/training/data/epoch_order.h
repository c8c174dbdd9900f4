// The order in which a trainer visits its images.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_EPOCH_ORDER_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_EPOCH_ORDER_H_

#include <cstdint>
#include <vector>

namespace diffusiond {

// Without end: epoch after epoch, each a permutation of 0 .. size - 1 that depends on (seed, epoch)
// alone. So a trainer needs to save nothing but how many images it has seen, and each rank of a
// distributed run can take its own positions. The order is part of what makes a resumed run exact:
// it does not change with the standard library or the processor.
//
// Thread-compatible. Keeps one epoch: 8 bytes an image; walking backwards over an epoch's edge
// shuffles again.
class EpochOrder {
 public:
  // `size`: images in the data set, at least 1.
  EpochOrder(int64_t size, uint64_t seed);

  // Index of the training sample at `position` (at least 0), which is in epoch position / size.
  int64_t At(int64_t position);

 private:
  void Shuffle(int64_t epoch);

  const uint64_t seed_;
  int64_t epoch_ = -1;  // Whose permutation order_ holds; -1: none yet.
  std::vector<int64_t> order_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_EPOCH_ORDER_H_
