// A fuzz target without a fuzzer: runs it on files and on damaged copies of them, the same ones
// every time.
//   TARGET FILE...
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr int kDamagedCopies = 2000;
// Headers and pickles are near the start and the end of their files.
constexpr size_t kRegionBytes = 4096;

using Bytes = std::vector<uint8_t>;

void Damage(Bytes* bytes, std::mt19937* random) {
  const auto below = [random](size_t limit) { return (*random)() % limit; };
  for (size_t changes = 1 + below(4); changes > 0 && !bytes->empty(); --changes) {
    const size_t region = std::min(bytes->size(), kRegionBytes);
    const size_t at = below(2) == 0 ? below(region) : bytes->size() - 1 - below(region);
    switch (below(5)) {
      case 0:
        (*bytes)[at] = static_cast<uint8_t>(below(256));
        break;
      case 1:
        (*bytes)[at] ^= static_cast<uint8_t>(1u << below(8));
        break;
      case 2:
        bytes->erase(bytes->begin() + static_cast<ptrdiff_t>(at));
        break;
      case 3:
        bytes->insert(bytes->begin() + static_cast<ptrdiff_t>(at), (*bytes)[below(bytes->size())]);
        break;
      default:
        if (below(8) == 0) bytes->resize(at);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::mt19937 random(1);
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    const Bytes whole((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (whole.empty()) {
      std::fprintf(stderr, "%s: cannot be read\n", argv[i]);
      return 1;
    }
    LLVMFuzzerTestOneInput(whole.data(), whole.size());
    for (int copy = 0; copy < kDamagedCopies; ++copy) {
      Bytes damaged = whole;
      Damage(&damaged, &random);
      LLVMFuzzerTestOneInput(damaged.data(), damaged.size());
    }
  }
  std::printf("%d files and %d damaged copies of each: passed\n", argc - 1, kDamagedCopies);
  return argc > 1 ? 0 : 1;
}
