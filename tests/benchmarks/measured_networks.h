// The networks that benchmarks measure.
#ifndef DIFFUSIOND_TESTS_BENCHMARKS_MEASURED_NETWORKS_H_
#define DIFFUSIOND_TESTS_BENCHMARKS_MEASURED_NETWORKS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "model/cpu_network/cpu_unet.h"
#include "model/sampling/denoiser.h"

namespace diffusiond {

class UNet;

struct MeasuredNetwork {
  std::string name;
  std::shared_ptr<const CpuUNet> ours;
  std::shared_ptr<const UNet> libtorch;
};

// Errors as Checkpoint::Open and LoadUNet.
absl::StatusOr<MeasuredNetwork> CheckpointNetwork(const std::string& directory);

// The DDPM paper's network for CIFAR-10, 3x32x32 (Ho et al. 2020, appendix B), with the weights
// that training begins with.
MeasuredNetwork UntrainedCifarNetwork();

// By LibTorch, with its own direct convolutions.
std::unique_ptr<Denoiser> LibTorchDenoiser(const MeasuredNetwork& network, int rows, int threads);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_BENCHMARKS_MEASURED_NETWORKS_H_
