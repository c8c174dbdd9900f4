// A fuzz target without a fuzzer: runs it on files and on damaged copies of them, the same ones
// every time; of folders on each file as it is.
//   TARGET COPIES FILE|FOLDER...
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
// Of targets whose inputs have a form; null for others.
extern "C" __attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                                                size_t max_size, unsigned seed);

namespace {

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

// One input of many changes, each tried.
void Mutate(const Bytes& whole, std::mt19937* random) {
  constexpr size_t kMaxBytes = 1 << 16;
  constexpr int kChanges = 8;
  Bytes changed = whole;
  for (int change = 0; change < kChanges; ++change) {
    const size_t size = changed.size();
    changed.resize(kMaxBytes);
    changed.resize(LLVMFuzzerCustomMutator(changed.data(), size, kMaxBytes, (*random)()));
    LLVMFuzzerTestOneInput(changed.data(), changed.size());
  }
}

Bytes Read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void RunAndDamage(const Bytes& whole, int copies, std::mt19937* random) {
  LLVMFuzzerTestOneInput(whole.data(), whole.size());
  for (int copy = 0; copy < copies; ++copy) {
    if (LLVMFuzzerCustomMutator != nullptr) {
      Mutate(whole, random);
      continue;
    }
    Bytes damaged = whole;
    Damage(&damaged, random);
    LLVMFuzzerTestOneInput(damaged.data(), damaged.size());
  }
}

// How many there are.
int RunAll(const char* folder) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const Bytes bytes = Read(entry.path());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    ++files;
  }
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  const int copies = argc > 1 ? std::atoi(argv[1]) : 0;
  std::mt19937 random(1);
  int damaged = 0, as_they_are = 0;
  for (int i = 2; i < argc; ++i) {
    if (std::filesystem::is_directory(argv[i])) {
      as_they_are += RunAll(argv[i]);
      continue;
    }
    const Bytes whole = Read(argv[i]);
    if (whole.empty()) {
      std::fprintf(stderr, "%s: cannot be read\n", argv[i]);
      return 1;
    }
    RunAndDamage(whole, copies, &random);
    ++damaged;
  }
  std::printf("%d files and %d damaged copies of each, %d files as they are: passed\n", damaged,
              copies, as_they_are);
  return damaged > 0 && copies > 0 ? 0 : 1;
}
