// Images that were found but not taken: counted and named, never dropped without a word.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_LEFT_OUT_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_LEFT_OUT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"

namespace diffusiond {

struct LeftOut {
  std::string file;  // Relative to the data's folder.
  std::string why;
};

// So many files a message names; of more it gives the number.
inline constexpr size_t kMostNamed = 20;

// "a.png (why), b.png (why) and 3 more".
std::string NamesOf(std::span<const LeftOut> files);

// "2 of 6 images are left out: " and their names.
std::string Describe(std::span<const LeftOut> left_out, int64_t found);

// FailedPrecondition, with the same text, if more than `max_share` of the `found` images, or all of
// them, are left out.
absl::Status CheckLeftOut(std::span<const LeftOut> left_out, int64_t found, double max_share);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_LEFT_OUT_H_
