#include "model/training/data/hold_out.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "model/training/data/epoch_order.h"

namespace diffusiond {

HeldOut HoldOut(ImageDataset dataset, int64_t count, uint64_t seed) {
  const int64_t size = dataset.size();
  count = std::clamp<int64_t>(count, 0, std::max<int64_t>(size - 1, 0));
  if (count == 0) return {.train = std::move(dataset), .held_out = {}};

  EpochOrder order(size, seed);
  std::vector<bool> held(size, false);
  for (int64_t i = 0; i < count; ++i) held[order.At(i)] = true;
  std::vector<int64_t> train_indices;
  std::vector<int64_t> held_indices;
  for (int64_t i = 0; i < size; ++i) (held[i] ? held_indices : train_indices).push_back(i);
  HeldOut parts{.train = {}, .held_out = Select(dataset, held_indices)};
  KeepOnly(train_indices, &dataset);
  parts.train = std::move(dataset);
  return parts;
}

}  // namespace diffusiond
