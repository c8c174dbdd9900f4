// Prints a digest of what each kind of network gives, and of noise: equal on every machine.
// on_aarch64.sh runs it on another one.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "model/cpu_network/kernels.h"
#include "model/cpu_network/network_runner.h"
#include "model/sampling/row_noise.h"
#include "tests/model/cpu_network/random_unet.h"

namespace diffusiond {
namespace {

// FNV-1a, 64 bits.
uint64_t Digest(std::span<const float> values) {
  uint64_t digest = 14695981039346656037u;
  for (const float value : values) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    for (int shift = 0; shift < 32; shift += 8) {
      digest = (digest ^ (bits >> shift & 0xFF)) * 1099511628211u;
    }
  }
  return digest;
}

void Print(const char* name, std::span<const float> values) {
  std::printf("%-10s %016llx\n", name, static_cast<unsigned long long>(Digest(values)));
}

}  // namespace
}  // namespace diffusiond

int main() {
  using namespace diffusiond;
  std::fprintf(stderr, "kernels: %s\n", KernelTargets().front().c_str());
  std::vector<float> noise(1 << 20);
  FillRowNoise(/*seed=*/1, /*image_index=*/0, /*row=*/0, noise);
  Print("noise", noise);
  for (const auto& [name, config] : UNetKinds()) {
    NetworkRunner runner(RandomCpuUNet(config), std::make_shared<LanePool>(2));
    std::vector<float> all;
    for (const auto& image : Predict(&runner, std::vector<uint32_t>{0, 1, 2})) {
      all.insert(all.end(), image.begin(), image.end());
    }
    Print(name.c_str(), all);
  }
  return 0;
}
