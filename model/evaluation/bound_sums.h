// What is known of the bound so far, and how it is kept on disk.
#ifndef DIFFUSIOND_MODEL_EVALUATION_BOUND_SUMS_H_
#define DIFFUSIOND_MODEL_EVALUATION_BOUND_SUMS_H_

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace diffusiond {

// Sums of a term L_t over the images it was evaluated on.
struct TermSums {
  double images = 0;
  double bits = 0;  // Per dimension.
  double squared_bits = 0;
  double x0_mse = 0;  // Mean over pixels of (x0_hat - x0)^2, x in [-1, 1].
};

// One image's bits per dimension.
struct ImageBits {
  double prior = 0;    // L_T.
  double middle = 0;   // The sum of L_1 .. L_{T-1}, or an unbiased estimate of it.
  double decoder = 0;  // L_0.

  double total() const { return prior + middle + decoder; }
};

struct BoundSums {
  std::vector<TermSums> terms;    // [T].
  std::vector<ImageBits> images;  // Those that are done, in order.
};

// A network and the sampler that clips its x0-hat at every step are two models, each with a bound
// of its own: only the first is a bound on what `ode` measures and training minimises.
struct Bounds {
  BoundSums network;
  BoundSums clipped;  // No terms and no images: the sampler does not clip.

  bool clips() const { return !clipped.terms.empty(); }
};

struct MeanAndError {
  double mean = 0;
  double standard_error = 0;  // NaN of fewer than two values.
};
MeanAndError Summarise(double count, double sum, double sum_of_squares);
MeanAndError Summarise(std::span<const double> values);

// One safetensors file, replaced atomically. `fingerprint` names what was measured on what.
absl::Status SaveBounds(const std::filesystem::path& path, const Bounds& bounds,
                        const std::string& fingerprint);

// NOT_FOUND: no such file. FAILED_PRECONDITION: another fingerprint. INVALID_ARGUMENT: damaged.
absl::StatusOr<Bounds> LoadBounds(const std::filesystem::path& path,
                                  const std::string& fingerprint);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_BOUND_SUMS_H_
