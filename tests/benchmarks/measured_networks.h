// The networks that benchmarks measure, one thread each.
#ifndef DIFFUSIOND_TESTS_BENCHMARKS_MEASURED_NETWORKS_H_
#define DIFFUSIOND_TESTS_BENCHMARKS_MEASURED_NETWORKS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/sampling/denoiser.h"

namespace diffusiond {

// Errors as LoadUNet.
absl::StatusOr<std::unique_ptr<Denoiser>> CheckpointDenoiser(const Checkpoint& checkpoint,
                                                             int rows);

// The DDPM paper's network for CIFAR-10, 3x32x32 (Ho et al. 2020, appendix B), with the weights
// that training begins with.
std::unique_ptr<Denoiser> UntrainedCifarDenoiser(int rows);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_BENCHMARKS_MEASURED_NETWORKS_H_
